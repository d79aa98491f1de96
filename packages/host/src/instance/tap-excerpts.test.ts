import type { ReportBody } from "@hardshare/protocol";
import { ManualClock } from "@hardshare/runtime";
import { beforeEach, expect, test } from "vitest";
import { TapExcerpts } from "./tap-excerpts.ts";

let clock: ManualClock;
let told: Extract<ReportBody, { kind: "tap" }>[];
let excerpts: TapExcerpts;
beforeEach(() => {
  clock = new ManualClock();
  told = [];
  excerpts = new TapExcerpts({ reports: { add: (body) => void told.push(body as (typeof told)[number]) }, clock });
});

test("what flows one way within a second is told together, with marks for what cannot be shown", () => {
  excerpts.add("ARM", "in", Buffer.from("G1 X1\r\n"));
  excerpts.add("ARM", "in", Buffer.from([0x18, 0xff, 0x0a]));
  excerpts.add("ARM", "out", Buffer.from("ok\n"));
  expect(told).toEqual([]);
  clock.advance(1000);
  expect(told).toEqual([
    { kind: "tap", service: "ARM", direction: "in", sizeBytes: 10, excerpt: "G1 X1⏎··⏎" },
    { kind: "tap", service: "ARM", direction: "out", sizeBytes: 3, excerpt: "ok⏎" },
  ]);
  clock.advance(60_000);
  expect(told).toHaveLength(2);
});

test("an hour of traffic is few excerpts of bounded length, and every byte is counted", () => {
  for (let second = 0; second < 3600; second++) {
    excerpts.add("ARM", "in", Buffer.alloc(1000, "x"));
    clock.advance(1000);
  }
  excerpts[Symbol.dispose]();
  expect(told.length).toBeLessThan(60 + 3600 * 0.2 + 2);
  expect(told.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(3_600_000);
  expect(Math.max(...told.map(({ excerpt }) => excerpt.length))).toBe(200);
});
