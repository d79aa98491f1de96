import { expect, test } from "vitest";
import { parse } from "yaml";
import { InputJudge } from "../rosbridge/input-judge.ts";
import { OpenOperations } from "../rosbridge/open-operations.ts";
import { fixedRules } from "../rules/live-rules.ts";
import { parseRosbridgeRules } from "../rules/rosbridge-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { makeLimits } from "../testing/filter-world.ts";
import { learnRosbridge } from "./learn-rosbridge.ts";
import { writeRules } from "./proposed-rules.ts";
import type { RosMessage } from "./read-decisions.ts";

const OPERATIONS = [
  { op: "advertise", topic: "/cmd_vel", type: "geometry_msgs/Twist" },
  { op: "publish", topic: "/cmd_vel", msg: { linear: { x: 0.1 } } },
  { op: "publish", topic: "/cmd_vel", msg: { linear: { x: -0.5 } } },
  { op: "subscribe", topic: "/odom", type: "nav_msgs/Odometry" },
  { op: "call_service", service: "/rosapi/topics", args: {} },
  { op: "send_action_goal", action: "/dock", action_type: "dock/Dock", args: { speed: 1 }, id: "g" },
  { op: "cancel_action_goal", action: "/dock", id: "g" },
  { op: "unadvertise", topic: "/cmd_vel" },
];

/** What a filter with these rules decides of the operations, in order. */
function judgeAll(rules: string, operations: readonly object[]): Judgement[] {
  const decisions: Judgement[] = [];
  const judge = new InputJudge({
    rules: fixedRules(parseRosbridgeRules(rules, "test.yaml", makeLimits())),
    open: new OpenOperations(""),
    onDecision: (judgement) => decisions.push(judgement),
  });
  for (const operation of operations) judge.judge(JSON.stringify(operation));
  return decisions;
}

function learn(): string {
  const recorded = judgeAll("mode: shadow", OPERATIONS).map(({ message }) => message as RosMessage);
  return writeRules(learnRosbridge(recorded), []);
}

test("rules that were learnt let through what they were made of, and nothing beyond the ranges that were seen", () => {
  const rules = learn();
  expect(judgeAll(rules, OPERATIONS).map(({ decision }) => decision)).toEqual(OPERATIONS.map(() => "allow"));
  const others = [
    { op: "publish", topic: "/cmd_vel", msg: { linear: { x: 0.2 } } },
    { op: "publish", topic: "/odom", msg: {} },
    { op: "advertise", topic: "/cmd_vel", type: "std_msgs/String" },
    { op: "call_service", service: "/reboot" },
  ];
  expect(judgeAll(rules, others).map(({ decision }) => decision)).toEqual(others.map(() => "block"));
});

test("there is one rule for each operation and name, with its type", () => {
  const { rules } = parse(learn()) as { rules: { allow: string; type?: string }[] };
  expect(rules.map(({ allow, type }) => [allow, type])).toEqual([
    ["subscribe /odom", "nav_msgs/Odometry"],
    ["publish /cmd_vel", "geometry_msgs/Twist"],
    ["call_service /rosapi/topics", undefined],
    ["send_action_goal /dock", "dock/Dock"],
  ]);
});
