import { expect, test } from "vitest";
import { placeKeptUntilMs, PLACE_KEPT_MS } from "./return-of-hosts.ts";

const host = { bootId: "first", lastSeenAt: new Date(1000) };
const now = { bootId: "second", hasInstance: false, serverStartedAtMs: 5000 };

test("the same computer, and one that comes for the first time, need not wait", () => {
  expect(placeKeptUntilMs(host, { ...now, bootId: "first" })).toBe(0);
  expect(placeKeptUntilMs({ bootId: null, lastSeenAt: null }, now)).toBe(0);
});

test("another computer waits until the one before has had its time to come back", () => {
  expect(placeKeptUntilMs(host, now)).toBe(1000 + PLACE_KEPT_MS);
});

test("with an instance that time begins at the start of the server, which may have been away for long", () => {
  expect(placeKeptUntilMs(host, { ...now, hasInstance: true })).toBe(5000 + PLACE_KEPT_MS);
});
