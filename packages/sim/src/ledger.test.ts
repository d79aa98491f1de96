import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { Ledger, MAX_ARGUMENTS_CHARS } from "./ledger.ts";

const drive = { channel: "http", kind: "act", action: "POST /api/drive/time" } as const;

test("entries carry sequence and time, and are completed later", () => {
  const ledger = new Ledger(new ManualClock(0), 10);
  const complete = ledger.record(drive);
  ledger.record({ ...drive, kind: "read" });
  complete({ arguments: { TimeMS: 100 }, status: 200 });
  expect(ledger.read()).toEqual({
    limit: 10,
    dropped: 0,
    entries: [
      { ...drive, sequence: 1, at: "1970-01-01T00:00:00.000Z", arguments: { TimeMS: 100 }, status: 200 },
      { ...drive, kind: "read", sequence: 2, at: "1970-01-01T00:00:00.000Z", arguments: {} },
    ],
  });
});

test("a full ledger drops the oldest entries and counts them", () => {
  const ledger = new Ledger(new ManualClock(0), 2);
  const completeFirst = ledger.record(drive);
  for (let count = 0; count < 3; count += 1) ledger.record(drive);
  completeFirst({ status: 200 });
  const { dropped, entries } = ledger.read();
  expect(dropped).toBe(2);
  expect(entries.map((entry) => [entry.sequence, entry.status])).toEqual([
    [3, undefined],
    [4, undefined],
  ]);
});

test("a reader can ask for what came after an entry", () => {
  const ledger = new Ledger(new ManualClock(0), 3);
  for (let count = 0; count < 5; count += 1) ledger.record(drive);
  expect(ledger.read(4).entries.map((entry) => entry.sequence)).toEqual([5]);
  expect(ledger.read(1).entries.map((entry) => entry.sequence)).toEqual([3, 4, 5]);
  expect(ledger.read(9).entries).toEqual([]);
});

test("long arguments are cut, also those that become known later", () => {
  const ledger = new Ledger(new ManualClock(0), 3);
  ledger.record({ ...drive, arguments: { note: "x".repeat(70_000) } });
  ledger.record(drive)({ arguments: { note: "x".repeat(70_000) } });
  const cut = { text: `{"note":"${"x".repeat(MAX_ARGUMENTS_CHARS - 9)}`, truncated: true };
  expect(ledger.read().entries.map((entry) => entry.arguments)).toEqual([cut, cut]);
});
