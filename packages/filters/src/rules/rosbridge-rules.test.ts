import { expect, test } from "vitest";
import { makeLimits } from "../testing/filter-world.ts";
import { parseRosbridgeRules } from "./rosbridge-rules.ts";

test.each([
  ["rules: [{ allow: publish cmd_vel }]", "1:18: rules.0.allow: expected an operation and a name"],
  ["rules: [{ allow: fly /up }]", "1:18: rules.0.allow: expected an operation and a name"],
  ["rules: [{ allow: publish /a//b }]", "1:18: rules.0.allow: expected no empty segment"],
  ["rules: [{ allow: publish /a-b }]", "1:18: rules.0.allow: expected letters, digits and _"],
  ["rules: [{ allow: 'publish /a/*b' }]", "1:18: rules.0.allow: expected {name} to be a whole segment"],
  ["rules: [{ allow: subscribe /a, message: true }]", "1:41: rules.0.message: expected none, because subscribe carries no message"],
  ["rules: [{ allow: subscribe /a, clamp: { x: [0, 1] } }]", "1:39: rules.0.clamp: expected none"],
  ["rules: [{ allow: publish /a, remove: [x] }]", "1:38: rules.0.remove: expected none, because nothing comes back"],
  ["rules: [{ allow: publish /a, type: Twist }]", "1:36: rules.0.type: expected the name of a type"],
  ["rules: [{ allow: cancel_action_goal /a, type: a/B }]", "1:47: rules.0.type: expected none"],
  ["rules: [{ allow: publish /a, message: { type: nonsense } }]", "rules.0.message.type: "],
  ["rules: [{ allow: publish /a, colour: red }]", "rules.0.colour: there is no field of this name here"],
  ["rules: [{ allow: subscribe /a, budget: { at_most: 1, of: x } }]", "rules.0.budget.of: expected none"],
])("%s is refused with its place and what was expected", (text, problem) => {
  expect(() => parseRosbridgeRules(text, "ros.yaml", makeLimits())).toThrow(
    expect.objectContaining({ code: "config_invalid", message: expect.stringContaining(problem) }),
  );
});
