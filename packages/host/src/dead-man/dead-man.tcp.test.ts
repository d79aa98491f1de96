import { Contract, type FilterReport } from "@hardshare/protocol";
import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import type { InstanceFacts } from "../instance/instance-parts.ts";
import { DeadMan } from "./dead-man.ts";

const PLC = { name: "PLC", filter: "tcp", target: "a:502", rules: "r" };
const ROBOT = { name: "ROBOT", filter: "http", target: "a:80", rules: "r" };

/** @returns what it told people, and whether it fired */
function watch(services: readonly object[]) {
  const clock = new ManualClock();
  const told = { notices: [] as string[], hasFired: false };
  const deadMan = new DeadMan({
    parts: {
      contract: Contract.parse({ provider: "podman", services, dead_man: "1s" }),
      holdServices: () => {
        told.hasFired = true;
        return { settled: Promise.resolve(), release: () => {} };
      },
      inTurn: async (run) => run(),
    },
    facts: { instanceId: "i", epoch: 1 } as unknown as InstanceFacts,
    windowS: 1,
    makeSafe: async () => {},
    reporter: { step: () => {} } as never,
    clock,
    notice: (_level, text) => void told.notices.push(text),
    isEnding: () => false,
    onUnsafe: async () => {},
  });
  const pulse = (service: string, signs?: number) => {
    const judged = { in: 1, out: 0, blocked: 0 };
    const report: FilterReport = { type: "pulse", at: new Date(clock.now()).toISOString(), judged, signs };
    deadMan.onReport(service, report);
    clock.advance(2000);
  };
  return { deadMan, told, pulse };
}

test("a connection through the filter tcp does not arm the switch, because nothing tells whether its user goes on acting", () => {
  const { deadMan, told, pulse } = watch([PLC, ROBOT]);
  deadMan.announce();
  pulse("PLC");
  expect(told.hasFired).toBe(false);
  pulse("ROBOT");
  expect(told.hasFired).toBe(true);
  deadMan[Symbol.dispose]();
});

test("what a filter judged without the user, such as a will, neither arms the switch nor holds it", () => {
  const { deadMan, told, pulse } = watch([PLC, ROBOT]);
  deadMan.announce();
  pulse("ROBOT", 0);
  expect(told.hasFired).toBe(false);
  pulse("ROBOT", 1);
  expect(told.hasFired).toBe(true);
  deadMan[Symbol.dispose]();
});

test("before READY messages are nobody's: programs that prepare the robot may pause, and none makes it safe beside them", () => {
  const { deadMan, told, pulse } = watch([ROBOT]);
  pulse("ROBOT", 3);
  expect(told.hasFired).toBe(false);
  deadMan.announce();
  pulse("ROBOT", 3); // nothing new
  expect(told.hasFired).toBe(false);
  pulse("ROBOT", 4);
  expect(told.hasFired).toBe(true);
  deadMan[Symbol.dispose]();
});

test("when there is no other filter, people are told that heartbeats alone arm it", () => {
  const { deadMan, told } = watch([PLC]);
  deadMan.announce();
  expect(told.notices).toEqual([expect.stringContaining("no filter here tells when you act")]);
  deadMan[Symbol.dispose]();
});
