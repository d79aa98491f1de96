import { expect, test } from "vitest";
import { readServerSentEvents } from "./server-sent-events.ts";

const text = ': comment\r\n\r\nid: 7\ndata: {"a":"é"}\n\nevent: x\rid:8\rdata:one\rdata: two\r\rid: 9\n\n';

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield new TextEncoder().encode(`data: ${"x".repeat(100_000)}`);
}

test("events are the same however the bytes are cut", async () => {
  const bytes = new TextEncoder().encode(text);
  for (let size = 1; size <= bytes.length; size += 1) {
    const events = [];
    for await (const event of readServerSentEvents(cut(bytes, size))) events.push(event);
    expect(events).toEqual([
      { type: "message", id: "7", data: '{"a":"é"}' },
      { type: "x", id: "8", data: "one\ntwo" },
    ]);
  }
});

async function countEvents(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let count = 0;
  for await (const _event of readServerSentEvents(chunks)) count += 1;
  return count;
}

test("an event without end is refused instead of kept", async () => {
  await expect(countEvents(endless())).rejects.toThrow(/an event of more than/);
});
