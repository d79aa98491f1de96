import { DeploymentId, type HostReport, type HostToServer, InstanceId, type ReportBody } from "@hardshare/protocol";
import { ManualClock, systemRandom } from "@hardshare/runtime";
import { beforeEach, expect, test } from "vitest";
import { ReportOutbox } from "./report-outbox.ts";
import { ReportStream } from "./report-stream.ts";

const deploymentId = DeploymentId.parse(systemRandom.uuid());
const instanceId = InstanceId.parse(systemRandom.uuid());
const PIECE = "x".repeat(16 * 1024);
const lockout = { type: "lockout", lockoutId: "l", deploymentId, reason: "r", actor: "host", at: "2026-01-01T00:00:00.000Z" } as const;

let clock: ManualClock;
let isConnected: boolean;
let sent: HostToServer[];
let outbox: ReportOutbox;
let stream: ReportStream;

beforeEach(() => {
  clock = new ManualClock();
  isConnected = false;
  sent = [];
  outbox = new ReportOutbox({ send: (message) => isConnected && sent.push(message) > 0, clock });
  stream = new ReportStream({ outbox, clock, instance: { deploymentId, instanceId, epoch: 1 }, after: 0 });
});

const bytesOf = (messages: readonly HostToServer[]) => messages.reduce((sum, each) => sum + JSON.stringify(each).length, 0);
const sequences = () => sent.flatMap((each) => (each.type === "report" ? [each.sequence] : []));
const bodies = () => sent.flatMap((each): ReportBody[] => (each.type === "report" ? [each.body] : []));
/** The server records what it got, as often as more comes. @returns all that came */
function recordAll(): HostReport[] {
  const recorded: HostReport[] = [];
  for (;;) {
    const came = sent.splice(0).filter((each) => each.type === "report");
    if (came.length === 0) return recorded;
    recorded.push(...came);
    outbox.acknowledgeReports(instanceId, 1, came.at(-1)?.sequence ?? 0);
  }
}

test("after a long time without the server a window of reports is sent at a time, lock-outs first, and the end arrives", () => {
  stream.add({ kind: "accepted" });
  for (let n = 0; n < 1000; n++) stream.add({ kind: "log", step: "init", text: PIECE });
  outbox.addLockout(lockout);
  stream.addNumbered(stream.reserve(), { kind: "ended", reason: "user", clean: true });
  isConnected = true;
  outbox.resend();
  expect(sent[0]).toBe(lockout);
  expect(bytesOf(sent)).toBeGreaterThan(256 * 1024);
  expect(bytesOf(sent)).toBeLessThanOrEqual(520 * 1024);
  const recorded = recordAll();
  expect(bytesOf(recorded)).toBeLessThanOrEqual(2 * 1024 * 1024);
  expect(recorded.map(({ sequence }) => sequence)).toEqual(recorded.map(({ sequence }) => sequence).toSorted((a, b) => a - b));
  expect(recorded[0]?.body).toEqual({ kind: "accepted" });
  const logs = recorded.filter(({ body }) => body.kind === "log");
  expect(logs[0]?.body).toMatchObject({
    text: `… ${1000 - (logs.length - 1)} pieces of output or decisions were dropped, because the server did not take them\n`,
  });
  expect(recorded.at(-1)).toMatchObject({ sequence: 1002, body: { kind: "ended", clean: true } });
});

test("each acknowledgement makes room for the next reports, in their order", () => {
  isConnected = true;
  for (let n = 0; n < 60; n++) stream.add({ kind: "log", step: "init", text: PIECE });
  const first = sequences().length;
  expect(first).toBeLessThan(60);
  outbox.acknowledgeReports(instanceId, 1, 2);
  expect(sequences()).toEqual(Array.from({ length: first + 2 }, (_, index) => index + 1));
});

test("without an acknowledgement only what is on its way is sent again after five seconds, each time", () => {
  isConnected = true;
  outbox.addLockout(lockout);
  for (let n = 0; n < 60; n++) stream.add({ kind: "log", step: "init", text: PIECE });
  const before = sent.splice(0);
  clock.advance(5000);
  expect(sent).toEqual(before);
  outbox.acknowledgeLockout("l");
  outbox.acknowledgeReports(instanceId, 1, 60);
  sent.splice(0);
  clock.advance(60_000);
  expect(sent).toEqual([]);
});

test("a server that is slow, but reads, is not sent anything twice", () => {
  isConnected = true;
  for (let n = 0; n < 5; n++) stream.add({ kind: "notice", level: "info", text: String(n) });
  for (let n = 1; n <= 5; n++) {
    clock.advance(4000);
    outbox.acknowledgeReports(instanceId, 1, n);
  }
  expect(sequences()).toEqual([1, 2, 3, 4, 5]);
});

test("nothing gets a number above that of the end, which would then be taken for a repetition", () => {
  isConnected = true;
  const end = stream.reserve();
  stream.add({ kind: "notice", level: "info", text: "late" });
  stream.addNumbered(end, { kind: "ended", reason: "user", clean: true });
  expect(bodies().map(({ kind }) => kind)).toEqual(["ended"]);
});
