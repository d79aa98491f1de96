import * as z from "zod";
import { Because, Clamp, fileFields, JsonSchema, limitFields } from "./conditions.ts";

const RosPattern = z
  .string()
  .regex(
    /^(?:publish|subscribe|call_service|send_action_goal|cancel_action_goal) \/\S+$/,
    "expected an operation and a name, such as `publish /cmd_vel`, `subscribe /scan`, `call_service /reset` or `send_action_goal /dock`",
  )
  .describe(
    "`publish`, `subscribe`, `call_service`, `send_action_goal` or `cancel_action_goal`, and a name: `{name}` stands for one part of it, a final `/*` for one or more. Advertising follows `publish`, cancelling `send_action_goal`.",
  );

const RosType = z
  .string()
  .regex(/^[A-Za-z]\w*(?:\/(?:msg|srv|action))?\/[A-Za-z]\w*$/, "expected the name of a type, such as geometry_msgs/Twist")
  .describe("The only type that an operation may name, such as geometry_msgs/Twist; geometry_msgs/msg/Twist is the same.");

const RosbridgeAllowRule = z.strictObject({
  allow: RosPattern,
  type: RosType.optional(),
  message: JsonSchema.optional().describe("Schema of the message that is published, or of the arguments of a service or goal."),
  clamp: Clamp.optional(),
  ...limitFields,
  remove: z
    .array(z.string().min(1))
    .optional()
    .describe("Places in what comes back (messages, answers, feedback, results) that are left out, such as /header/frame_id."),
  because: Because,
});
export type RosbridgeAllowRule = z.infer<typeof RosbridgeAllowRule>;
const RosbridgeRule = z.union([RosbridgeAllowRule, z.strictObject({ block: RosPattern, because: Because })]);

/** The rules file of the `rosbridge` filter. */
export const RosbridgeFilterRules = z.strictObject({
  ...fileFields,
  rules: z.array(RosbridgeRule).default([]).describe("The first whose pattern matches decides."),
});
export type RosbridgeFilterRules = z.infer<typeof RosbridgeFilterRules>;
