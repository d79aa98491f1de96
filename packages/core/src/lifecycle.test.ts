import type { InstanceState } from "@hardshare/protocol";
import { InstanceState as States } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type LifecycleEvent, mayFollow, statesAfter } from "./lifecycle.ts";

const event: fc.Arbitrary<LifecycleEvent> = fc.oneof(
  fc.constant<LifecycleEvent>({ kind: "ready" }),
  fc.constant<LifecycleEvent>({ kind: "end", reason: "user" }),
  fc.boolean().map<LifecycleEvent>((isFailure) => ({ kind: "host_ended", reason: "init_failed", isFailure })),
  fc.constant<LifecycleEvent>({ kind: "host_not_confirmed" }),
);

test("no sequence of events leads through a step that is not allowed, and an ended instance stays ended", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), (events) => {
      let state: InstanceState = "INIT";
      for (const next of events) {
        for (const to of statesAfter(state, next)) {
          expect(mayFollow(state, to)).toBe(true);
          state = to;
        }
      }
    }),
  );
  for (const ended of ["TERMINATED", "INIT_FAIL"] as const) {
    for (const to of States.options) expect(mayFollow(ended, to)).toBe(false);
  }
});

test("a cancelled launch passes through TERMINATING, a failed one ends in INIT_FAIL", () => {
  expect(statesAfter("INIT", { kind: "end", reason: "user" })).toEqual(["TERMINATING"]);
  expect(statesAfter("TERMINATING", { kind: "host_ended", reason: "user", isFailure: true })).toEqual(["TERMINATED"]);
  expect(statesAfter("INIT", { kind: "host_ended", reason: "init_failed", isFailure: true })).toEqual(["INIT_FAIL"]);
});

test("a container that dies while READY ends the instance through TERMINATING", () => {
  expect(statesAfter("READY", { kind: "host_ended", reason: "container_died", isFailure: false })).toEqual(["TERMINATING", "TERMINATED"]);
});

test("a late READY changes nothing", () => {
  expect(statesAfter("TERMINATING", { kind: "ready" })).toEqual([]);
  expect(statesAfter("TERMINATED", { kind: "ready" })).toEqual([]);
});
