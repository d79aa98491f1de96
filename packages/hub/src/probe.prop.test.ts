import { PassThrough } from "node:stream";
import { ManualClock, systemRandom } from "@hardshare/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Prober } from "./probe.ts";

/** What a prober finds when these pieces come through the tunnel, and then its end. */
async function probe(pieces: readonly Uint8Array[]): Promise<string> {
  const stream = new PassThrough();
  const outcome = new Promise<string>((resolve) => {
    const prober = new Prober({
      kind: "banner",
      way: { publicAddress: () => null, open: async () => stream },
      onProbed: () => resolve("an SSH server"),
      onFailure: (error) => {
        prober.stop();
        resolve(error.message);
      },
      clock: new ManualClock(),
      random: systemRandom,
    });
    prober.start();
  });
  for (const piece of pieces) stream.write(piece);
  stream.end();
  return outcome;
}

test("an SSH banner is found wherever it is cut, after any other lines, and nothing else is taken for one", async () => {
  const piece = fc.oneof(
    fc.constantFrom("SSH-", "SSH-2.0-x\r\n", "S", "SH-", "\r\n", "\n", " "),
    fc.string({ unit: "binary", maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const text = Buffer.from(pieces.join("")).toString("latin1");
      const bytes = Buffer.from(text, "latin1");
      const found = await probe([bytes]);
      expect(await probe([...bytes].map((byte) => Uint8Array.of(byte)))).toBe(found);
      // RFC 4253, section 4.2: at the beginning of a line.
      expect(found === "an SSH server").toBe(/(?:^|[\r\n])SSH-/.test(text));
    }),
  );
});

test("what sends on and on without a banner is given up", async () => {
  expect(await probe(Array(20).fill(Buffer.alloc(1000, "x")))).toMatch(/what answers in the tunnel is no SSH server/);
});
