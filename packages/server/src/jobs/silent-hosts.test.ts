import type { EndingInstance } from "@hardshare/db";
import { expect, test } from "vitest";
import { giveUpAtMs } from "./silent-hosts.ts";

const T = Date.UTC(2026, 0, 1);
const LONG_AGO = T - 3600_000;

function ending(more: {
  deadline: number;
  endingAt?: number;
  seenAt?: number;
  connectedAt?: number;
  endTimeoutS?: number;
}): EndingInstance {
  const instance = { deadline: new Date(more.deadline), endingAt: new Date(more.endingAt ?? T), startedAt: new Date(LONG_AGO) };
  return {
    instance: instance as EndingInstance["instance"],
    endTimeoutS: more.endTimeoutS ?? 0,
    hostId: null,
    hostConnectedAt: more.connectedAt === undefined ? null : new Date(more.connectedAt),
    hostLastSeenAt: more.seenAt === undefined ? null : new Date(more.seenAt),
  };
}

test("a host that is away is given up on 5 s after the deadline", () => {
  expect(giveUpAtMs(ending({ deadline: T, seenAt: LONG_AGO }), LONG_AGO)).toBe(T + 5000);
});

test("a host that was lost just now may come back first", () => {
  expect(giveUpAtMs(ending({ deadline: T, seenAt: T + 2000 }), LONG_AGO)).toBe(T + 17_000);
});

test("after a start of the server hosts may come back first", () => {
  expect(giveUpAtMs(ending({ deadline: LONG_AGO, endingAt: LONG_AGO, seenAt: LONG_AGO }), T)).toBe(T + 15_000);
});

test("before the deadline a host has a minute and its own time for ending, connected or not", () => {
  const later = T + 8 * 3600_000;
  expect(giveUpAtMs(ending({ deadline: later, endTimeoutS: 120, connectedAt: LONG_AGO }), LONG_AGO)).toBe(T + 180_000);
  expect(giveUpAtMs(ending({ deadline: later, endTimeoutS: 120, seenAt: LONG_AGO }), LONG_AGO)).toBe(T + 180_000);
});

test("a host that came back after the server or itself was away has time to say that it let go", () => {
  const long = { deadline: LONG_AGO, endingAt: LONG_AGO };
  expect(giveUpAtMs(ending({ ...long, connectedAt: LONG_AGO }), T)).toBe(T + 15_000);
  expect(giveUpAtMs(ending({ ...long, connectedAt: T + 1000 }), T)).toBe(T + 16_000);
  expect(giveUpAtMs(ending({ ...long, connectedAt: T }), LONG_AGO)).toBe(T + 15_000);
});
