import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RpcWorld } from "../testing/rpc-world.ts";

let world: RpcWorld;
beforeAll(async () => {
  world = await RpcWorld.start(`
rules:
  - allow: POST /say/{first}
    run: [./record, "{first}", "second={second}", "{third}", --, "{rest}"]
    stdin: "{text}"
    query: { second: { type: string } }
    body:
      type: object
      required: [third, rest]
      properties: { third: { type: [string, number, boolean] }, rest: { type: string }, text: {} }
`);
});
afterAll(() => world?.[Symbol.asyncDispose]());

const nasty = fc.oneof(
  fc.constantFrom(
    "",
    "-",
    "--",
    "-rf",
    "--help",
    "-o/etc/passwd",
    "$(id)",
    "`id`",
    "; reboot",
    "| sh",
    "a b",
    "\n",
    "\0",
    "'",
    '"',
    "\\",
    "*",
    "~",
    "{first}",
    "\u00e9",
    "\ud83e\udd16",
    "@file",
    "%00",
    "%2D",
  ),
  fc.string({ maxLength: 8 }),
  fc.string({ unit: "grapheme", maxLength: 5 }),
);

test("a program gets each value as it was sent, as the one argument that it is, or is not run", async () => {
  await fc.assert(
    fc.asyncProperty(
      nasty,
      fc.option(nasty, { nil: undefined }),
      fc.oneof(nasty, fc.integer(), fc.boolean()),
      nasty,
      fc.option(nasty, { nil: undefined }),
      async (first, second, third, rest, text) => {
        const before = (await world.ledger()).length;
        const query = second === undefined ? "" : `?second=${encodeURIComponent(second)}`;
        const { status } = await world.call("POST", `/say/${encodeURIComponent(first)}${query}`, {
          third,
          rest,
          ...(text === undefined ? {} : { text }),
        });
        const calls = (await world.ledger()).slice(before);
        if (status === 200) {
          const args = [first, ...(second === undefined ? [] : [`second=${second}`]), String(third), "--", rest];
          expect(calls).toEqual([{ args, stdin: text ?? "" }]);
          for (const open of [first, String(third)]) expect(open).not.toMatch(/^-/);
        } else {
          expect([400, 403]).toContain(status);
          expect(calls).toEqual([]);
        }
      },
    ),
    // Each case starts a program.
    { numRuns: process.env["HARDSHARE_LONG"] === undefined ? 40 : 3000, interruptAfterTimeLimit: 120_000 },
  );
}, 600_000);
