import { expect, test } from "vitest";
import { OpenOperations, Registrations } from "./open-operations.ts";

test("a registration ends with its last id, or with all of them when none is named", () => {
  const registrations = new Registrations();
  registrations.add("/a", "1");
  registrations.add("/a", "2");
  expect(registrations.remove("/a", "3")).toBe(false);
  expect(registrations.remove("/a", "1")).toBe(true);
  expect(registrations.has("/a")).toBe(true);
  expect(registrations.remove("/a", undefined)).toBe(true);
  expect(registrations.has("/a")).toBe(false);
  expect(registrations.remove("/a", undefined)).toBe(false);
});

test("there is a most of what one connection may have open, and what ends makes room", () => {
  const registrations = new Registrations();
  let count = 0;
  while (registrations.add("/a", count)) count += 1;
  expect(count).toBe(1024);
  registrations.remove("/a", 0);
  expect(registrations.add("/b", undefined)).toBe(true);
  const open = new OpenOperations("");
  let goals = 0;
  while ("id" in open.addGoal({ name: "/dock", id: goals })) goals += 1;
  expect(goals).toBe(64);
  open.endGoal(open.goalId(0));
  expect(open.addGoal({ name: "/dock", id: "next" })).toHaveProperty("id");
});

test("of many calls without an answer the oldest is forgotten, and its answer does not come back", () => {
  const open = new OpenOperations("");
  for (let id = 0; id <= 256; id += 1) open.addCall("/where", id);
  expect(open.endCall("/where", 0)).toBe(false);
  expect(open.endCall("/where", 256)).toBe(true);
  expect(open.endCall("/where", 256)).toBe(false);
  expect(open.endCall("/where", "255")).toBe(false);
});
