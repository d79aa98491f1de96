import { expect, test } from "vitest";
import { distanceAhead, moveFrom, START_POSE } from "./motion.ts";

const east = { x: 1, y: 1, heading: 0 };

test("straight on, the way is speed times time", () => {
  const { pose, isMoving } = moveFrom(east, { linearCmPerS: 20, angularDegPerS: 0, durationMs: 5000 }, 2500);
  expect(pose).toEqual({ x: expect.closeTo(1.5), y: expect.closeTo(1), heading: 0 });
  expect(isMoving).toBe(true);
});

test("it stops when the command's time is over", () => {
  const { pose, isMoving } = moveFrom(east, { linearCmPerS: 20, angularDegPerS: 0, durationMs: 1000 }, 60_000);
  expect(pose.x).toBeCloseTo(1.2);
  expect(isMoving).toBe(false);
});

test("with a turn it drives a circle and comes back", () => {
  const { pose } = moveFrom({ x: 2, y: 1, heading: 0 }, { linearCmPerS: 10, angularDegPerS: 36, durationMs: 10_000 }, 10_000);
  expect(pose.x).toBeCloseTo(2, 3);
  expect(pose.y).toBeCloseTo(1, 3);
  expect(Math.min(pose.heading, 360 - pose.heading)).toBeCloseTo(0);
});

test("a wall stops it", () => {
  const { pose, isMoving, isAtWall } = moveFrom(east, { linearCmPerS: 50, angularDegPerS: 0, durationMs: 60_000 }, 30_000);
  expect(pose.x).toBeCloseTo(3.85, 1);
  expect({ isMoving, isAtWall }).toEqual({ isMoving: false, isAtWall: true });
});

test("the distance ahead is that to the wall it faces", () => {
  expect(distanceAhead(START_POSE)).toBeCloseTo(1.35);
  expect(distanceAhead(east)).toBeCloseTo(2.85);
  expect(distanceAhead({ ...east, heading: 180 })).toBeCloseTo(0.85);
});
