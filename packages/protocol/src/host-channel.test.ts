import { expect, test } from "vitest";
import { MAX_DURATION_S } from "./durations.ts";
import { DesiredInstance, HostDeployment, HostReport, ServerToHost } from "./host-channel.ts";
import { Epoch, MAX_CLAIMED_EPOCH } from "./ids.ts";

const described = {
  deploymentId: "01234567-89ab-4cde-8f01-23456789abcd",
  provider: "proxy",
  probe: "none",
  publicPort: true,
  maxDurationS: 3600,
  endTimeoutS: 0,
  isAdvertised: true,
  highestEpoch: 0,
  current: null,
};

test("no host can claim an epoch after which there is none, since its hub would understand nothing any more", () => {
  const claim = (highestEpoch: number) => HostDeployment.safeParse({ ...described, highestEpoch }).success;
  expect(claim(MAX_CLAIMED_EPOCH)).toBe(true);
  expect(Epoch.safeParse(MAX_CLAIMED_EPOCH + 1_000_000).success).toBe(true);
  expect(claim(Number.MAX_SAFE_INTEGER)).toBe(false);
});

test("no host can allow a time that ends at no date", () => {
  const allow = (maxDurationS: number) => HostDeployment.safeParse({ ...described, maxDurationS }).success;
  expect(allow(MAX_DURATION_S)).toBe(true);
  expect(allow(1e300)).toBe(false);
});

test("names and keys that a host writes into files of an instance are one line each", () => {
  const desired = {
    instanceId: described.deploymentId,
    epoch: 1,
    want: "run",
    user: "bob",
    deadline: "2026-01-01T00:00:00Z",
    remainingMs: 1,
    publicKeys: ["ssh-ed25519 AAAA bob"],
    tunnel: null,
    lastSequence: 0,
  };
  const accepts = (change: object) => DesiredInstance.safeParse({ ...desired, ...change }).success;
  expect(accepts({})).toBe(true);
  expect(accepts({ user: "bob\nLD_PRELOAD=/tmp/x.so" })).toBe(false);
  expect(accepts({ publicKeys: ["ssh-ed25519 AAAA bob\nssh-ed25519 AAAA mallory"] })).toBe(false);
  expect(accepts({ publicKeys: Array<string>(65).fill("ssh-ed25519 AAAA bob") })).toBe(false);
});

test("a server takes what a newer host says and it does not know, but not what it knows and is wrong", () => {
  const report = {
    type: "report",
    deploymentId: described.deploymentId,
    instanceId: described.deploymentId,
    epoch: 1,
    sequence: 1,
    at: "2026-01-01T00:00:00.000Z",
  };
  const read = (body: unknown) => HostReport.safeParse({ ...report, body });
  expect(read({ kind: "weather", degrees: 21 }).data?.body).toEqual({ kind: "later", name: "weather" });
  expect(read({ kind: "notice", level: "info", text: "hello", more: 1 }).data?.body).toEqual({
    kind: "notice",
    level: "info",
    text: "hello",
  });
  for (const body of [{ kind: "notice" }, { kind: 5 }, {}, null, "accepted", undefined]) expect(read(body).success).toBe(false);
});

test("a host does nothing about what a newer server says and it does not know, and refuses what it knows and is wrong", () => {
  const read = (message: unknown) => ServerToHost.safeParse(message);
  expect(read({ type: "weather", degrees: 21 }).data).toEqual({ type: "later", name: "weather" });
  expect(read({ type: "lockout_ack", lockoutId: "l1", more: 1 }).data).toEqual({ type: "lockout_ack", lockoutId: "l1" });
  for (const message of [{ type: "estop" }, { type: 5 }, {}, null, "estop"]) expect(read(message).success).toBe(false);
});
