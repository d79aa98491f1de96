import { expect, test } from "vitest";
import { HalfOpenLimit, MAX_HALF_OPEN, MAX_HALF_OPEN_PER_SOURCE } from "./half-open-limit.ts";

const never = () => {
  throw new Error("cut, although there was room");
};

test("one source can't take all places, and gets a place back when one of its connections has logged in", () => {
  const limit = new HalfOpenLimit();
  const releases = Array.from({ length: MAX_HALF_OPEN_PER_SOURCE }, () => limit.admit("192.0.2.1", never));
  expect(releases.every((release) => release !== undefined)).toBe(true);
  expect(limit.admit("192.0.2.1", never)).toBeUndefined();
  expect(limit.admit("::ffff:192.0.2.1", never)).toBeUndefined();
  expect(limit.admit("192.0.2.2", never)).toBeDefined();
  releases[0]?.();
  releases[0]?.(); // once is enough, twice does nothing
  expect(limit.admit("192.0.2.1", never)).toBeDefined();
  expect(limit.admit("192.0.2.1", never)).toBeUndefined();
});

test("all addresses of one IPv6 subnet are one source", () => {
  const limit = new HalfOpenLimit();
  for (let count = 0; count < MAX_HALF_OPEN_PER_SOURCE; count += 1) limit.admit(`2001:db8::${count.toString(16)}`, never);
  expect(limit.admit("2001:db8:0:0:1:2:3:4", never)).toBeUndefined();
  expect(limit.admit("2001:db8:0:1::1", never)).toBeDefined();
  expect(limit.admit("::1", never)).toBeDefined();
});

test("when all places are taken, the oldest connection of the source that has most makes room", () => {
  const limit = new HalfOpenLimit();
  const cuts: string[] = [];
  for (let count = 0; count < MAX_HALF_OPEN - 3; count += 1) limit.admit(`10.0.${count >> 8}.${count & 255}`, never);
  for (const name of ["first", "second", "third"]) limit.admit("192.0.2.1", () => void cuts.push(name));
  const release = limit.admit("192.0.2.2", never);
  expect(cuts).toEqual(["first"]);
  release?.();
  expect(limit.admit("192.0.2.3", never)).toBeDefined();
  expect(cuts).toEqual(["first"]);
  expect(limit.admit("192.0.2.4", never)).toBeDefined();
  expect(cuts).toEqual(["first", "second"]);
});
