import fc from "fast-check";
import { expect, test } from "vitest";
import { fixedRules } from "../rules/live-rules.ts";
import { serialRules } from "../testing/serial-world.ts";
import { SerialFramer } from "./framer.ts";
import { MessageJudge } from "./message-judge.ts";

const isLong = process.env["HARDSHARE_LONG"] !== undefined;
/** Messages that are sent in all, most of them meant to get around the rules. */
const LEAST_MESSAGES = isLong ? 10_000_000 : 100_000;
const LIMIT = 24;
const RULES = serialRules(String.raw`
messages: { limit: ${LIMIT}, realtime: ["!", 0x18] }
rules:
  - allow: G0 X(?<x>\S{1,8})
    groups: { x: { type: number, minimum: -50, maximum: 50 } }
  - allow: G1 F(?<f>-?\d{1,6})
    clamp: { f: [10, 600] }
  - allow: "!|M114"
`);

/**
 * A machine that is told what it must never run, in its own words, which are not those of the filter: it takes what it is
 * written byte by byte, with CR and LF each ending a line, and reads numbers as C's `strtod` does.
 */
class StrictMachine {
  #line = "";
  ran = 0;

  take(bytes: Buffer): void {
    for (const byte of bytes) {
      const character = String.fromCharCode(byte);
      if (character === "\x18") throw new Error("it was reset");
      if (character === "!") continue;
      if (character !== "\r" && character !== "\n") this.#line += character;
      else if (this.#line !== "") this.#run(this.#line);
      if (character === "\r" || character === "\n") this.#line = "";
    }
  }

  get isBetweenLines(): boolean {
    return this.#line === "";
  }

  #run(line: string): void {
    this.ran += 1;
    if (line.length > LIMIT) throw new Error(`it ran a line of ${line.length} bytes`);
    if (line === "M114") return;
    const [, command, number = ""] = /^(G0 X|G1 F)(.*)$/s.exec(line) ?? [];
    const value = /^[+-]?(?:0[xX][\da-fA-F]*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|inf|nan)/i.exec(number)?.[0];
    if (value === undefined || value !== number) throw new Error(`it ran ${JSON.stringify(line)}`);
    const [least, most] = command === "G0 X" ? [-50, 50] : [10, 600];
    if (!(Number(value) >= least && Number(value) <= most)) throw new Error(`it ran ${line}`);
  }
}

const numbers = fc.oneof(
  fc.integer({ min: -60, max: 60 }).map(String),
  fc.integer({ min: -99_999, max: 999_999 }).map(String),
  fc.double().map(String),
  fc.constantFrom("050", "1e9", "0x99", "5 ", "5.", ".5", "+5", "NaN", "inf", "-0", "49.999999999999999999", "4294967297", "\u00b9", "5\0"),
);
const commands = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom("G0 X", "G1 F", "g0 X", "G0X", "G00 X"), numbers).map((parts) => parts.join("")) },
  {
    weight: 2,
    arbitrary: fc.constantFrom("M114", "M112", "m112", "M999", "", "G0", "G0 X5;M112", "M114\x18", "M1\x1814", "G0 X!5", "x".repeat(30)),
  },
  { weight: 1, arbitrary: fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 32 }) },
);
const ends = fc.constantFrom("\n", "\r", "\r\n", "\n\r", "\r\r\n", "", "\0\n", "\n\n");
const streams = fc.array(
  fc.tuple(commands, ends).map((parts) => parts.join("")),
  { minLength: 150, maxLength: 250 },
);

test(
  `nothing that the rules refuse ever reaches the device, in ${LEAST_MESSAGES} messages of several clients, cut anywhere`,
  { timeout: isLong ? 3_600_000 : 60_000 },
  () => {
    let sent = 0;
    let ran = 0;
    const clients = fc.tuple(streams, streams, fc.array(fc.nat({ max: 40 }), { minLength: 20, maxLength: 60 }));
    for (let seed = isLong ? Date.now() % 1_000_000 : 1; sent < LEAST_MESSAGES; seed += 1) {
      for (const [one, two, cuts] of fc.sample(clients, { numRuns: 20, seed })) {
        ran += drive([one.join(""), two.join("")], cuts, seed);
        sent += one.length + two.length;
      }
    }
    expect(ran).toBeGreaterThan(sent / 20); // what the rules allow does reach it
  },
);

/** Feeds the streams in turn, in pieces, as the filter does with what its clients send. @returns lines that the machine ran */
function drive(texts: string[], cuts: readonly number[], seed: number): number {
  const machine = new StrictMachine();
  const judged: string[] = [];
  const clients = texts.map((text) => ({
    rest: Buffer.from(text, "latin1"),
    framer: new SerialFramer(RULES.messages),
    judge: new MessageJudge({ direction: "in", rules: fixedRules(RULES), onDecision: ({ summary }) => judged.push(summary) }),
  }));
  let last: (typeof clients)[number] | undefined;
  try {
    for (let turn = 0; clients.some(({ rest }) => rest.length > 0); turn += 1) {
      const client = clients[turn % clients.length];
      const size = 1 + (cuts[turn % cuts.length] ?? 0);
      if (client === undefined) continue;
      client.framer.push(client.rest.subarray(0, size));
      client.rest = client.rest.subarray(size);
      for (let piece = client.framer.next(); piece !== undefined; piece = client.framer.next()) {
        if (piece.kind === "line feed" && last !== client) continue;
        const { bytes } = client.judge.judge(piece);
        if (bytes === undefined) continue;
        if (piece.kind === "message") expect(machine.isBetweenLines).toBe(true);
        last = client;
        machine.take(bytes);
      }
    }
  } catch (error) {
    throw new Error(`seed ${seed}: ${(error as Error).message}; judged last: ${judged.slice(-5).join(" | ")}`, { cause: error });
  }
  return machine.ran;
}

test("every byte that a client sends is in one piece, whatever is cut where", () => {
  const bytes = fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array));
  const framings = fc.constantFrom(
    "{}",
    "{ end: [';'] }",
    "{ end: [0x0d, 0x0a] }",
    "{ length: 7 }",
    "{ realtime: ['!', 0] }",
    "{ limit: 400, end: ['a', 'a'] }",
  );
  fc.assert(
    fc.property(bytes, framings, fc.array(fc.nat({ max: 9 }), { minLength: 1 }), (stream, messages, cuts) => {
      const framing = { ...serialRules(`messages: ${messages}`).messages, limit: 1000 };
      const cut = (sizes: readonly number[]) => {
        const framer = new SerialFramer(framing);
        const pieces: string[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn += 1) {
          const size = 1 + (sizes[turn % sizes.length] ?? 0);
          framer.push(stream.subarray(at, at + size));
          at += size;
          for (let piece = framer.next(); piece !== undefined; piece = framer.next()) {
            pieces.push(piece.kind === "line feed" ? "\n" : piece.kind === "message" ? piece.text + piece.end : piece.text);
          }
        }
        return pieces;
      };
      const whole = cut([stream.length]);
      expect(cut(cuts)).toEqual(whole);
      if (framing.realtime.length === 0) expect(stream.toString("latin1").startsWith(whole.join(""))).toBe(true);
    }),
  );
});
