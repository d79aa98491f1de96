import type { FilterDecision, ReportBody } from "@hardshare/protocol";
import { ManualClock } from "@hardshare/runtime";
import { beforeEach, expect, test } from "vitest";
import { DecisionReports } from "./decision-reports.ts";

let clock: ManualClock;
let told: Extract<ReportBody, { kind: "filter" }>[];
let decisions: DecisionReports;
beforeEach(() => {
  clock = new ManualClock();
  told = [];
  decisions = new DecisionReports({ reports: { add: (body) => void told.push(body as (typeof told)[number]) }, clock });
});

const decide = (decision: "allow" | "block", summary = "GET /", count?: number): FilterDecision => ({
  type: "decision",
  at: "2026-01-01T00:00:00.000Z",
  filter: "http",
  direction: "in",
  rule: "default",
  decision,
  mode: "enforce",
  summary,
  ...(count === undefined ? {} : { count }),
});
/** How many messages the reports stand for, and how many they say were not told. */
const messages = () => told.reduce((sum, { decision, missed }) => sum + (decision.count ?? 1) + (missed ?? 0), 0);

test("decisions are told at once, as they come", () => {
  decisions.add("ROBOT", decide("allow"));
  decisions.add("ARM", decide("block"));
  expect(told).toMatchObject([{ service: "ROBOT" }, { service: "ARM", decision: { decision: "block" } }]);
  expect(told[0]).not.toHaveProperty("missed");
});

test("of a flood the first are told, then few each second, and every message is counted", () => {
  for (let n = 0; n < 10_000; n++) {
    decisions.add("ROBOT", decide("allow", `GET /${n}`, 3));
    clock.advance(1);
  }
  expect(told.length).toBeLessThan(130);
  expect(messages()).toBeLessThanOrEqual(30_000);
  clock.advance(2000);
  expect(told.at(-1)?.decision.summary).toBe("GET /9999");
  expect(messages()).toBe(30_000);
  clock.advance(600_000);
  expect(messages()).toBe(30_000);
});

test("a flood of what is allowed does not hide what is blocked", () => {
  for (let n = 0; n < 1000; n++) decisions.add("ROBOT", decide("allow"));
  decisions.add("ROBOT", decide("block", "POST /reboot"));
  expect(told.at(-1)?.decision.summary).toBe("POST /reboot");
});

test("at the end what still waits is told", () => {
  for (let n = 0; n < 1000; n++) decisions.add("ROBOT", decide("block"));
  decisions[Symbol.dispose]();
  expect(messages()).toBe(1000);
});
