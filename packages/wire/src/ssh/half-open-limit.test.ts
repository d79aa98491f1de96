import { expect, test } from "vitest";
import { HalfOpenLimit, MAX_HALF_OPEN_PER_SOURCE } from "./half-open-limit.ts";

test("one source can't take all places, and gets a place back when one of its connections has logged in", () => {
  const limit = new HalfOpenLimit();
  const releases = Array.from({ length: MAX_HALF_OPEN_PER_SOURCE }, () => limit.admit("192.0.2.1"));
  expect(releases.every((release) => release !== undefined)).toBe(true);
  expect(limit.admit("192.0.2.1")).toBeUndefined();
  expect(limit.admit("::ffff:192.0.2.1")).toBeUndefined();
  expect(limit.admit("192.0.2.2")).toBeDefined();
  releases[0]?.();
  releases[0]?.(); // once is enough, twice does nothing
  expect(limit.admit("192.0.2.1")).toBeDefined();
  expect(limit.admit("192.0.2.1")).toBeUndefined();
});

test("all addresses of one IPv6 subnet are one source", () => {
  const limit = new HalfOpenLimit();
  for (let count = 0; count < MAX_HALF_OPEN_PER_SOURCE; count += 1) limit.admit(`2001:db8::${count.toString(16)}`);
  expect(limit.admit("2001:db8:0:0:1:2:3:4")).toBeUndefined();
  expect(limit.admit("2001:db8:0:1::1")).toBeDefined();
  expect(limit.admit("::1")).toBeDefined();
});
