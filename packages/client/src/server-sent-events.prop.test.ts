import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readServerSentEvents, type ServerSentEvent } from "./server-sent-events.ts";

/** Text of pieces that mean something in a stream of events, and of any characters. */
const streamText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "data:",
        "data: ",
        "data",
        "id:",
        "id: 7",
        "event:",
        "event: x",
        ":",
        " ",
        "\uFEFF",
        "\0",
      ),
      fc.string({ unit: "binary", maxLength: 5 }),
    ),
    { maxLength: 30 },
  )
  .map((pieces) => new TextEncoder().encode(pieces.join("")));
const bytes = fc.oneof(streamText, fc.uint8Array({ maxLength: 200 }));

async function readAll(pieces: readonly Uint8Array[]): Promise<ServerSentEvent[]> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield* pieces;
  }
  const events: ServerSentEvent[] = [];
  for await (const event of readServerSentEvents(chunks())) events.push(event);
  return events;
}

function cutAt(whole: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = cuts.map((cut) => cut % (whole.length + 1)).toSorted((a, b) => a - b);
  return [...places, whole.length].map((end, index) => whole.subarray(places[index - 1] ?? 0, end));
}

test("any bytes give the same events, wherever they are cut", async () => {
  await fc.assert(
    fc.asyncProperty(bytes, fc.array(fc.nat(1000), { maxLength: 10 }), async (whole, cuts) => {
      expect(await readAll(cutAt(whole, cuts))).toEqual(await readAll([whole]));
    }),
  );
});

test("events come out as they were written", async () => {
  const line = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => !/[\r\n]/.test(text));
  const event = fc.record({ type: line.filter((text) => text !== ""), id: line, lines: fc.array(line, { minLength: 1, maxLength: 4 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 5 }), fc.constantFrom("\n", "\r", "\r\n"), async (events, end) => {
      const text = events
        .map(({ type, id, lines }) => [`event: ${type}`, `id: ${id}`, ...lines.map((data) => `data: ${data}`), "", ""].join(end))
        .join("");
      // The last line's end may be half of CRLF: only what follows tells.
      const read = await readAll([new TextEncoder().encode(text), new TextEncoder().encode("\n")]);
      expect(read).toEqual(events.map(({ type, id, lines }) => ({ type, id, data: lines.join("\n") })));
    }),
  );
});

test("whatever an endless event is made of, it is refused before it fills the memory", async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("data:\n", "data: x\n", "data\n", "id: 1", ": comment", "x"), async (piece) => {
      const chunk = new TextEncoder().encode(piece.repeat(Math.ceil(64_000 / piece.length)));
      let count = 0;
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (; count < 1000; count += 1) yield chunk;
      }
      const reading = (async () => {
        for await (const _event of readServerSentEvents(endless())) throw new Error("an event without end was told");
      })();
      await expect(reading).rejects.toThrow(AppError);
      expect(count * chunk.length).toBeLessThan(8 * 1024 * 1024);
    }),
    { numRuns: 12 },
  );
});
