import { PassThrough } from "node:stream";
import { AppError, type TimelineEvent } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { tellFailure } from "./failure.ts";
import { Output } from "./output.ts";
import { printable } from "./printable.ts";
import { formatFacts, formatTable } from "./table.ts";
import { describeEvent } from "./timeline.ts";

function streams() {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  return { stdout, stderr, out: () => String(stdout.read() ?? ""), err: () => String(stderr.read() ?? "") };
}

test("a result is one line of JSON, YAML, or text, as asked for", () => {
  const shown = (["json", "yaml", "table"] as const).map((format) => {
    const { stdout, stderr, out } = streams();
    new Output({ stdout, stderr, format, commandName: "hardshare", hasColours: false }).result({ id: "a", list: [1, 2] }, () => "id a");
    return out();
  });
  expect(shown).toEqual(['{"id":"a","list":[1,2]}\n', "id: a\nlist:\n  - 1\n  - 2\n", "id a\n"]);
});

test("progress never mixes with results", () => {
  const { stdout, stderr, out, err } = streams();
  new Output({ stdout, stderr, format: "json", commandName: "hardshare", hasColours: false }).progress("waiting");
  expect([out(), err()]).toEqual(["", "waiting\n"]);
});

test("a failure is one sentence for people, and with JSON one line for programs", () => {
  const { stderr, err } = streams();
  const failure = new AppError("busy", "held by bob until 12:00", { details: { holder: "bob" }, cause: new Error("inner") });
  tellFailure(failure, stderr, { commandName: "hardshare", isJson: true, isVerbose: false });
  expect(err()).toBe(
    'hardshare: held by bob until 12:00\n{"error":{"code":"busy","message":"held by bob until 12:00","details":{"holder":"bob"}}}\n',
  );
});

test("a busy deployment names its holder and when it gets free", () => {
  const { stderr, err } = streams();
  const holders = [{ deployment: "aa11", user: "bob", expires: "2026-01-01 12:00:00" }];
  tellFailure(new AppError("busy", "all are busy", { details: { holders } }), stderr, {
    commandName: "hardshare",
    isJson: false,
    isVerbose: false,
  });
  expect(err()).toBe("hardshare: busy: aa11 is held by bob until 2026-01-01 12:00:00 UTC; try again when it is free\n");
});

test("a stack is shown only when asked for, with its causes", () => {
  const { stderr, err } = streams();
  tellFailure(new AppError("internal", "odd", { cause: new Error("inner") }), stderr, {
    commandName: "hardshare",
    isJson: false,
    isVerbose: true,
  });
  expect(err()).toMatch(/^hardshare: odd; run the command again with --verbose[^]*AppError: odd\n {4}at [^]*Error: inner\n {4}at /);
});

test("what others wrote can't move the cursor, ring or hide", () => {
  expect(printable("a\u001b[2Jb\u0007c\u202ed\nnext")).toBe("a�[2Jb�c�d next");
  expect(printable("one\r\ntwo\rthree", true)).toBe("one\ntwo\nthree");
});

test("columns and facts are aligned", () => {
  const table = formatTable(
    ["ID", "STATE"],
    [
      ["a", "online"],
      ["long", ""],
    ],
  );
  expect(`\n${table}\n`).toMatchInlineSnapshot(`
    "
    ID    STATE
    a     online
    long
    "
  `);
  expect(
    formatFacts([
      ["id", "a"],
      ["ended", undefined],
      ["time left", "3m"],
    ]),
  ).toBe("id:        a\ntime left: 3m");
});

test("a timeline tells states, steps with what they took, and the last lines of what failed", () => {
  const { colours } = new Output({ ...streams(), format: "table", commandName: "hardshare", hasColours: false });
  const events: Pick<TimelineEvent, "kind" | "data">[] = [
    { kind: "state", data: { state: "INIT", epoch: 3 } },
    { kind: "step", data: { step: "container", phase: "started" } },
    { kind: "step", data: { step: "container", phase: "done", ms: 182.4 } },
    { kind: "log", data: { step: "init 1", text: "homing\n\u001b[31m" } },
    { kind: "step", data: { step: "init 1", phase: "failed", ms: 12_000, log: "arm is stuck\n" } },
    { kind: "step", data: { step: "container", phase: "undone" } },
    { kind: "notice", data: { level: "warning", message: "battery low" } },
    { kind: "of another version", data: {} },
    { kind: "state", data: { state: "INIT_FAIL", reason: "init_failed", step: "init 1" } },
  ];
  const lines = events.map((event, index) => describeEvent({ id: index + 1, at: "2026-01-01T00:00:00Z", ...event }, colours));
  expect(`\n${lines.filter((line) => line !== undefined).join("\n")}\n`).toMatchInlineSnapshot(`
    "
    INIT
      … container
      ✓ container  182 ms
          init 1: homing
          �[31m
      ✗ init 1  12s
          arm is stuck
      ↩ container
    ! battery low
    INIT_FAIL (init_failed)
    "
  `);
});

test("a timeline tells what filters decided, in which direction, by which rule and why, and what went through services", () => {
  const { colours } = new Output({ ...streams(), format: "table", commandName: "hardshare", hasColours: false });
  const decided = {
    service: "ROBOT",
    filter: "http",
    direction: "in",
    rule: "GET /a",
    decision: "allow",
    mode: "enforce",
    summary: "GET /a",
  };
  const blocked = { ...decided, decision: "block", because: "no\u001b[2J", rule: "default" };
  const events: Pick<TimelineEvent, "kind" | "data">[] = [
    { kind: "filter", data: decided },
    { kind: "filter", data: { ...decided, count: 3, missed: 12 } },
    { kind: "filter", data: blocked },
    { kind: "filter", data: { ...blocked, mode: "shadow", direction: "out" } },
    { kind: "tap", data: { service: "ARM", direction: "out", sizeBytes: 3, excerpt: "ok⏎" } },
    { kind: "traffic", data: { service: "ARM", bytes: { in: 12, out: 25_000 } } },
    { kind: "traffic", data: { service: "ARM", bytes: { in: 12, out: 25_000_000 }, messages: { in: 4, out: 0, blocked: 1 } } },
  ];
  const lines = events.map((event, index) => describeEvent({ id: index + 1, at: "2026-01-01T00:00:00Z", ...event }, colours));
  expect(`\n${lines.join("\n")}\n`).toMatchInlineSnapshot(`
    "
      ✓ ROBOT → GET /a  (rule GET /a)
      ✓ ROBOT → GET /a (×3)  (rule GET /a; 12 more before it are not shown)
      ✗ ROBOT → GET /a: no�[2J  (rule default)
      ✗ ROBOT ← GET /a: no�[2J  (rule default; passed all the same, because the rules are on trial)
        ARM ← 3 bytes: ok⏎
      ARM: 12 bytes in, 25 kB out
      ARM: 12 bytes in, 25 MB out; 4 messages in, 0 out, 1 of them refused
    "
  `);
});
