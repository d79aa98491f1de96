import type { FilterReport } from "@hardshare/protocol";
import { beforeEach, expect, test } from "vitest";
import { ReportLines } from "./report-lines.ts";

const AT = "2026-01-01T00:00:00.000Z";
const PULSE = { type: "pulse", at: AT, judged: { in: 1, out: 2, blocked: 0 } } as const;
const RULES = { type: "rules", at: AT } as const;

let reports: FilterReport[];
let text: string;
let lines: ReportLines;
beforeEach(() => {
  reports = [];
  text = "";
  lines = new ReportLines({ onReport: (report) => reports.push(report), onText: (chunk) => (text += String(chunk)) });
});

test("reports are taken out of the log, however the output is cut into chunks", () => {
  const bytes = Buffer.from(`starting\n${JSON.stringify(PULSE)}\n{"level":"info","message":"hello"}\n${JSON.stringify(RULES)}\nüx`);
  for (let size = 1; size <= bytes.length; size++) {
    reports = [];
    text = "";
    for (let start = 0; start < bytes.length; start += size) lines.write(bytes.subarray(start, start + size));
    lines.flush();
    lines.write(Buffer.from("\n"));
    expect(reports).toEqual([PULSE, RULES]);
    if (size > 1) expect(text).toMatch(/^starting\n\{"level":"info","message":"hello"\}\n.*x\n$/u);
  }
});

test("a report in the middle of a line is part of the log", () => {
  lines.write(Buffer.from("now "));
  lines.write(Buffer.from(`${JSON.stringify(PULSE)}\n`));
  expect(reports).toEqual([]);
  expect(text).toBe(`now ${JSON.stringify(PULSE)}\n`);
});

test("a line that only begins like a report is passed on as soon as it is too long for one", () => {
  lines.write(Buffer.from("{"));
  expect(text).toBe("");
  const sent = "x".repeat(1024 * 1024);
  for (let start = 0; start < sent.length; start += 1000) lines.write(Buffer.from(sent.slice(start, start + 1000)));
  lines.write(Buffer.from(`\n${JSON.stringify(PULSE)}\n`));
  expect(text).toBe(`{${sent}\n`);
  expect(reports).toEqual([PULSE]);
});

test("what is no report of this version is log, and texts that a store would refuse are mended", () => {
  lines.write(Buffer.from(`{"type":"dance","at":"${AT}"}\n{"type":"pulse"}\n{}\n{\n`));
  expect(reports).toEqual([]);
  expect(text.split("\n")).toHaveLength(5);
  lines.write(Buffer.from(`${JSON.stringify({ ...RULES, problem: "a\0b\ud800" })}\n`));
  expect(reports).toEqual([{ ...RULES, problem: "a\uFFFDb\uFFFD" }]);
});
