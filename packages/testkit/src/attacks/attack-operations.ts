import { type Chance, makeChance } from "./chance.ts";

const OPERATIONS = [
  "advertise_service",
  "unadvertise_service",
  "service_response",
  "advertise_action",
  "unadvertise_action",
  "action_feedback",
  "action_result",
  "set_level",
  "status",
  "auth",
  "png",
  "stop_service",
  "PUBLISH",
  "publish ",
  "constructor",
  "__proto__",
];
const NAMES = [
  "cmd_vel",
  "//cmd_vel",
  "/cmd_vel/",
  "/CMD_VEL",
  "~cmd_vel",
  "/a/../cmd_vel",
  "/cmd_vel#1",
  "/reboot",
  "reboot",
  "/reboot#/rosapi/topics",
  "/rosapi/topics#/../reboot",
  "/rosapi/set_param",
  "rosapi/set_param",
  "/base/set_parameters",
  "/odom",
  "/scan",
  "/drive_distance",
  "/drive_distance#x",
  "/cmd_vel\\u0000",
  "/cmd\\u005fvel",
  "/\\u0063md_vel",
  "",
];
const NUMBERS = [
  "NaN",
  "Infinity",
  "-Infinity",
  "1e400",
  "9007199254740993",
  "13",
  "-0.9",
  "+1",
  "01",
  "1.",
  "null",
  '"1"',
  "[1]",
  "{}",
  "true",
  "-0",
  "1e-400",
];
const FIELDS = [
  '"png":1',
  '"fragment_size":1',
  '"compression":"cbor-raw"',
  '"latch":true',
  '"message_intervall":9',
  '"op":"publish"',
  '"topic":"/reboot"',
  '"Topic":"/scan"',
  '"service":"/reboot"',
  '"msg":{"linear":{"x":1}}',
  '"__proto__":{"topic":"/scan"}',
  '"type":"std_msgs/String"',
  '"id":{}',
  '"x":"\\ud800"',
  "",
  '"a',
];
const WRAPPINGS: readonly ((text: string) => string)[] = [
  (text) => `[${text}]`,
  (text) => `${text}${text}`,
  (text) => `${text} `,
  (text) => `\ufeff${text}`,
  (text) => `x${text}`,
  (text) => `{"a":${text}}`,
  (text) => `${text}//`,
  (text) => text.slice(1),
  (text) => text.slice(0, -1),
  (text) => text.replaceAll('"', "'"),
  (text) => `{"op":"publish","topic":"/cmd_vel","msg":{"frame_id":${JSON.stringify(text)}}}`,
  (text) => `{"op":"subscribe","topic":"/odom","id":${text}}`,
];

/** What one client sends, one text after the other: the same for the same number. */
export function makeOperations(seed: number, count: number): string[] {
  const chance = makeChance(seed);
  const texts: string[] = [];
  while (texts.length < count) {
    const text = makeOperation(chance.happens(0.3) ? 0.3 : 0, chance);
    texts.push(...(chance.happens(0.1) ? cut(text, chance) : [text]));
  }
  return texts.slice(0, count);
}

/** @param oddness chance of each part to be an attack */
function makeOperation(oddness: number, chance: Chance): string {
  const { draw, below, happens } = chance;
  const isOdd = () => happens(oddness);
  const number = (least: number, most: number) => (isOdd() ? draw(NUMBERS) : String(least + below(Math.round((most - least) * 100)) / 100));
  const op = draw([
    "publish",
    "publish",
    "publish",
    "advertise",
    "subscribe",
    "unsubscribe",
    "call_service",
    "send_action_goal",
    "cancel_action_goal",
  ]);
  const [field, name] = {
    publish: ["topic", "/cmd_vel"],
    advertise: ["topic", "/cmd_vel"],
    subscribe: ["topic", "/odom"],
    unsubscribe: ["topic", "/odom"],
    call_service: ["service", "/rosapi/topics"],
    send_action_goal: ["action", "/drive_distance"],
    cancel_action_goal: ["action", "/drive_distance"],
  }[op] ?? ["topic", ""];
  const fields = [`"op":"${isOdd() ? draw(OPERATIONS) : op}"`, `"${field}":"${isOdd() ? draw(NAMES) : name}"`];
  if (op === "publish") fields.push(`"msg":{"linear":{"x":${number(-1, 1)}${isOdd() ? ',"X":9' : ""}}}`);
  if (op === "advertise") fields.push(`"type":"${isOdd() ? "std_msgs/String" : "geometry_msgs/Twist"}"`);
  if (op === "subscribe" && happens(0.3)) fields.push(`"compression":"${draw(["none", "png", "cbor"])}"`);
  if (op === "call_service" && happens(0.5)) fields.push(`"args":${isOdd() ? draw(["[1]", "[]", "null", '"a"']) : "{}"}`);
  if (op === "send_action_goal")
    fields.push(`"action_type":"robot_msgs/Drive"`, `"args":{"distance":${number(0, 5)},"speed":${number(0, 0.5)}}`);
  if (happens(0.5) || op.endsWith("_goal")) fields.push(`"id":"${below(4)}"`);
  if (isOdd()) fields.splice(below(fields.length + 1), 0, draw(FIELDS));
  const text = `{${fields.join(draw([",", ", ", ",\n"]))}}`;
  return isOdd() ? draw(WRAPPINGS)(text) : text;
}

/** The text in fragments, mostly in order, sometimes with one that is odd. */
function cut(text: string, { draw, below, happens }: Chance): string[] {
  const total = 1 + below(3);
  const size = Math.ceil(text.length / total);
  const id = JSON.stringify(`f${below(2)}`);
  const fragments = Array.from(
    { length: total },
    (_none, num) =>
      `{"op":"fragment","id":${id},"num":${num},"total":${total},"data":${JSON.stringify(text.slice(num * size, (num + 1) * size))}}`,
  );
  if (happens(0.2)) fragments.reverse();
  if (happens(0.1)) fragments.splice(below(fragments.length), happens(0.5) ? 1 : 0, draw(fragments));
  return fragments;
}
