import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { RobotBody } from "../body/robot-body.ts";
import { Ledger } from "../ledger.ts";
import { LineProtocol } from "./line-protocol.ts";

function startProtocol() {
  const clock = new ManualClock();
  const ledger = new Ledger(clock, 100);
  return { clock, ledger, protocol: new LineProtocol(new RobotBody(clock), ledger) };
}

test("a move takes its way at its feed, and M114 and ? tell where it is", () => {
  const { clock, protocol } = startProtocol();
  expect(protocol.answer("g1 x60 f600")).toEqual(["ok"]); // 10 mm/s
  clock.advance(2000);
  expect(protocol.answer("M114")).toEqual(["X:20.00 Y:0.00", "ok"]);
  expect(protocol.answer("?")).toEqual(["<Run|X:20.00,Y:0.00|F:600>"]);
  clock.advance(10_000);
  expect(protocol.answer("?")).toEqual(["<Idle|X:60.00,Y:0.00|F:0>"]);
});

test("M112 stops a move where it is", () => {
  const { clock, protocol } = startProtocol();
  protocol.answer("G0 X200 Y0"); // 100 mm/s
  clock.advance(500);
  expect(protocol.answer("M112")).toEqual(["ok"]);
  clock.advance(5000);
  expect(protocol.answer("M114")[0]).toBe("X:50.00 Y:0.00");
});

test.each([
  ["G0", "error:expected X, Y or both"],
  ["G0 X201", "error:X: expected 0 to 200"],
  ["G0 X1 X2", "error:X: expected once"],
  ["G0 Z1", "error:Z: expected only X, Y and F"],
  ["G1 X1 F0", "error:F: expected more than 0, at most 6000"],
  ["G1 X1e3", "error:X1E3: expected a letter and a number, such as X10.5"],
  ["G28", "error:expected G0, G1, M114, M112 or ?, not G28"],
])("%s is answered %s", (line, answer) => {
  expect(startProtocol().protocol.answer(line)).toEqual([answer]);
});

test("both directions are in the ledger, blank lines are not", () => {
  const { protocol, ledger } = startProtocol();
  expect(protocol.answer("  ")).toEqual([]);
  protocol.answer("G1 X10 Y2.5 F60");
  protocol.answer("M114");
  const brief = ledger.read().entries.map(({ channel, kind, action, arguments: given }) => [channel, kind, action, given]);
  expect(brief).toEqual([
    ["serial", "act", "G1", { X: 10, Y: 2.5, F: 60 }],
    ["serial", "answer", "ok", {}],
    ["serial", "read", "M114", {}],
    ["serial", "answer", "X:0.00 Y:0.00", {}],
    ["serial", "answer", "ok", {}],
  ]);
});
