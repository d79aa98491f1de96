import { heartbeatTranscript } from "@hardshare/protocol";
import { ManualClock } from "@hardshare/runtime";
import { generateIdentity, generateRsaKeyPair, signWith } from "@hardshare/wire/ssh";
import { beforeEach, expect, test } from "vitest";
import { HeartbeatCheck } from "./heartbeat-check.ts";

const instance = { instanceId: crypto.randomUUID(), epoch: 3 };
const user = generateIdentity("user");
const other = generateIdentity("other");
const keys = [generateRsaKeyPair().publicKey, "nonsense", user.publicKey];

let clock: ManualClock;
let check: HeartbeatCheck;
beforeEach(() => {
  clock = new ManualClock();
  check = new HeartbeatCheck(instance, clock);
});

function beat(at: number, { key = user, of = instance } = {}) {
  return { at, signature: signWith(key.privateKey, heartbeatTranscript(of.instanceId, of.epoch, at)) };
}

test("one of the user's key counts, once; another key's, another instance's and a changed one count for nothing", () => {
  expect(check.ageMs(beat(1000, { key: other }), keys)).toBeUndefined();
  expect(check.ageMs(beat(1000, { of: { ...instance, epoch: 2 } }), keys)).toBeUndefined();
  expect(check.ageMs({ ...beat(1000), at: 1001 }, keys)).toBeUndefined();
  expect(check.ageMs({ at: 1000, signature: "AAAA" }, keys)).toBeUndefined();
  expect(check.ageMs(beat(1000), keys)).toBe(0);
  expect(check.ageMs(beat(1000), keys)).toBeUndefined();
  expect(check.ageMs(beat(999), keys)).toBeUndefined();
});

test("one that was kept back counts as old, whatever the clock of the user's computer says", () => {
  const at = 5_000_000;
  expect(check.ageMs(beat(at), keys)).toBe(0);
  clock.advance(10_000);
  expect(check.ageMs(beat(at + 500), keys)).toBeCloseTo(9500, 0);
  clock.advance(500);
  expect(check.ageMs(beat(at + 10_500), keys)).toBeCloseTo(0, 0);
});

test("clocks that differ in pace by what good ones may do not make a user old", () => {
  let at = 0;
  let oldest = 0;
  for (let count = 0; count < 400; count += 1) {
    clock.advance(60_000);
    at += 60_000 * (1 - 50e-6);
    oldest = Math.max(oldest, check.ageMs(beat(at), keys) ?? Number.NaN);
  }
  expect(oldest).toBeLessThan(10);
});
