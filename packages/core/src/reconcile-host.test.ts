import { DeploymentId, type DesiredDeployment, type DesiredInstance, InstanceId } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decideHost, type HostFacts } from "./reconcile-host.ts";

const DEPLOYMENT = DeploymentId.parse("00000000-0000-4000-8000-000000000001");
const instanceId = (n: number) => InstanceId.parse(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`);

function wanted(epoch: number, want: "run" | "end", idNumber = epoch): DesiredInstance {
  return {
    instanceId: instanceId(idNumber),
    epoch,
    want,
    user: "bob",
    deadline: "2026-01-01T00:00:00.000Z",
    remainingMs: 1000,
    publicKeys: [],
    tunnel: null,
    lastSequence: 0,
  };
}
const desired = (instance: DesiredInstance | null): DesiredDeployment => ({
  deploymentId: DEPLOYMENT,
  lockout: null,
  estop: null,
  dissolved: null,
  instance,
});
const idle: HostFacts = { highestEpoch: 3, current: null, refusal: null };

test("a new epoch is launched, an old one is answered with ended", () => {
  expect(decideHost(idle, desired(wanted(4, "run")))).toMatchObject([{ kind: "launch" }]);
  expect(decideHost(idle, desired(wanted(3, "run")))).toMatchObject([
    { kind: "answer_ended", mustJournal: false, reason: "host_restarted" },
  ]);
  expect(decideHost(idle, desired(wanted(2, "end")))).toMatchObject([{ kind: "answer_ended", mustJournal: false }]);
});

test("an end for an epoch that never started is written down before it is answered", () => {
  expect(decideHost(idle, desired(wanted(9, "end")))).toMatchObject([{ kind: "answer_ended", mustJournal: true }]);
});

test("a launch that must be refused says why", () => {
  const facts: HostFacts = { ...idle, refusal: { reason: "host_stopped", text: "not advertised" } };
  expect(decideHost(facts, desired(wanted(4, "run")))).toMatchObject([
    { kind: "answer_ended", reason: "host_stopped", text: "not advertised", mustJournal: true },
  ]);
});

test("while it is being found out whether a deployment can be offered, a launch waits and an end is answered", () => {
  const facts: HostFacts = { ...idle, refusal: "undecided" };
  expect(decideHost(facts, desired(wanted(4, "run")))).toEqual([]);
  expect(decideHost(facts, desired(wanted(4, "end")))).toMatchObject([{ kind: "answer_ended", mustJournal: true }]);
  expect(decideHost(facts, desired(wanted(3, "run")))).toMatchObject([{ kind: "answer_ended", mustJournal: false }]);
});

test("what runs but is not desired ends, and the desired one waits for it", () => {
  const facts: HostFacts = { ...idle, current: { instanceId: instanceId(3), epoch: 3, isEnding: false, isStopped: false } };
  expect(decideHost(facts, desired(null))).toEqual([{ kind: "end", reason: "not_desired" }]);
  expect(decideHost(facts, null)).toEqual([{ kind: "end", reason: "not_desired" }]);
  expect(decideHost(facts, desired(wanted(4, "run")))).toEqual([{ kind: "end", reason: "not_desired" }]);
});

test("the same epoch under another instance id is a stranger", () => {
  const facts: HostFacts = { ...idle, current: { instanceId: instanceId(3), epoch: 3, isEnding: false, isStopped: false } };
  expect(decideHost(facts, desired(wanted(3, "run", 77)))).toMatchObject([{ kind: "end" }, { kind: "answer_ended", mustJournal: false }]);
});

test("an E-stop is acted on once, also while the instance is ending for another reason", () => {
  const running = { instanceId: instanceId(3), epoch: 3, isEnding: false, isStopped: false };
  const stop = desired({ ...wanted(3, "end"), reason: "estop" });
  expect(decideHost({ ...idle, current: running }, stop)).toEqual([{ kind: "estop" }]);
  expect(decideHost({ ...idle, current: { ...running, isEnding: true } }, stop)).toEqual([{ kind: "estop" }]);
  expect(decideHost({ ...idle, current: { ...running, isEnding: true, isStopped: true } }, stop)).toEqual([]);
});

const message = fc.record({
  epoch: fc.integer({ min: 1, max: 6 }),
  idNumber: fc.integer({ min: 1, max: 8 }),
  want: fc.constantFrom<"run" | "end">("run", "end"),
  isNull: fc.boolean(),
});
const event = fc.oneof(
  message.map((m) => ({ kind: "message" as const, ...m })),
  fc.constant({ kind: "finish_ending" as const }),
  fc.constant({ kind: "dies" as const }),
  fc.constant({ kind: "restart" as const }),
  fc.boolean().map((isRefusing) => ({ kind: "refusal" as const, isRefusing })),
);

test("in any order of messages, repetitions, deaths and restarts an epoch is launched at most once and only upwards", () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let highestEpoch = 0;
      let current: { instanceId: string; epoch: number; isEnding: boolean; isStopped: boolean } | null = null;
      let refusal: HostFacts["refusal"] = null;
      let last: DesiredDeployment | null = null;
      const launched: number[] = [];
      const answered = new Set<number>();
      const reconcile = () => {
        for (const action of decideHost({ highestEpoch, current, refusal }, last)) {
          if (action.kind === "launch") {
            expect(current).toBeNull();
            expect(refusal).toBeNull();
            expect(action.instance.want).toBe("run");
            expect(action.instance.epoch).toBeGreaterThan(Math.max(0, ...launched, ...answered));
            launched.push(action.instance.epoch);
            highestEpoch = action.instance.epoch;
            current = { instanceId: action.instance.instanceId, epoch: action.instance.epoch, isEnding: false, isStopped: false };
          } else if (action.kind === "end") {
            current = current && { ...current, isEnding: true };
          } else if (action.kind === "answer_ended") {
            if (action.mustJournal) {
              expect(action.instance.epoch).toBeGreaterThan(highestEpoch);
              highestEpoch = action.instance.epoch;
              answered.add(action.instance.epoch);
            } else expect(action.instance.epoch).toBeLessThanOrEqual(highestEpoch);
          }
        }
      };
      for (const next of events) {
        if (next.kind === "message") last = desired(next.isNull ? null : wanted(next.epoch, next.want, next.idNumber));
        else if (next.kind === "refusal") refusal = next.isRefusing ? { reason: "init_failed", text: "locked out" } : null;
        else if (next.kind === "restart") last = null;
        else if (next.kind === "dies") current = null;
        else if ((current as { isEnding: boolean } | null)?.isEnding) current = null;
        if (next.kind !== "restart") reconcile();
      }
      expect(new Set(launched).size).toBe(launched.length);
    }),
  );
});

test("whatever came before, once the instance is wanted no more the host comes to rest with nothing running", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.boolean(), fc.boolean(), (epoch, isEnding, isKnown) => {
      const facts: HostFacts = {
        highestEpoch: 5,
        current: { instanceId: instanceId(epoch), epoch, isEnding, isStopped: false },
        refusal: null,
      };
      const actions = decideHost(facts, isKnown ? desired(null) : null);
      expect(actions).toEqual(isEnding ? [] : [{ kind: "end", reason: "not_desired" }]);
    }),
  );
});
