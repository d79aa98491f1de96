import type { RuledOperation } from "../rules/rosbridge-rules.ts";
import { readRosName, readRosType } from "../rules/ros-names.ts";

/** Operations of a client that may pass. */
type OperationName = RuledOperation | "advertise" | "unadvertise" | "unsubscribe";

/** By which an answer is known to belong to an operation. */
export type OperationId = string | number;

/** An operation of a client, read strictly: nothing of it is left out but what asks for another form of answers. */
export interface Operation {
  readonly op: OperationName;
  readonly id: OperationId | undefined;
  /** Of a topic, service or action. */
  readonly name: string;
  readonly parts: readonly string[];
  readonly type: string | undefined;
  /** What is published, or the arguments; undefined for operations that have none. May be changed. */
  readonly message: Record<string, unknown> | undefined;
  /** The other fields that go to the device. */
  readonly others: Readonly<Record<string, unknown>>;
}

/** What becomes of a field: it goes on, it is left out, or the operation is refused. */
type FieldVerdict = "pass" | "leave out" | { readonly expected: string };
type FieldReader = (value: unknown) => FieldVerdict;

/** How an operation is written. */
interface Form {
  readonly name: "topic" | "service" | "action";
  readonly type?: string;
  readonly message?: "msg" | "args";
  readonly others?: Readonly<Record<string, FieldReader>>;
}

const isWithin = (value: unknown, least: number, most: number) => typeof value === "number" && value >= least && value <= most;
const count: FieldReader = (value) =>
  Number.isInteger(value) && isWithin(value, 0, 1000) ? "pass" : { expected: "expected a whole number from 0 to 1000" };
const milliseconds: FieldReader = (value) =>
  Number.isInteger(value) && isWithin(value, 0, 3_600_000)
    ? "pass"
    : { expected: "expected a whole number of milliseconds, at most an hour" };
const seconds: FieldReader = (value) => (isWithin(value, -1, 86_400) ? "pass" : { expected: "expected seconds, at most a day" });
const boolean: FieldReader = (value) => (typeof value === "boolean" ? "pass" : { expected: "expected true or false" });
/** A latched message reaches nodes that come later, when nobody judges it any more. */
const latch: FieldReader = (value) =>
  value === false ? "pass" : { expected: "expected false: a message that is kept for later is not passed on" };
/** Answers come whole, so that they can be judged. */
const fragmentSize: FieldReader = (value) => (Number.isInteger(value) ? "leave out" : { expected: "expected a whole number" });
/** Answers come as JSON, so that they can be judged; who asks for them packed reads that too, but not raw bytes of ROS. */
const compression: FieldReader = (value) =>
  value === "none" || value === "png" || value === "cbor"
    ? "leave out"
    : { expected: "expected none, png or cbor: the answers come as JSON" };

const FORMS: Readonly<Record<OperationName, Form>> = {
  advertise: { name: "topic", type: "type", others: { latch, queue_size: count } },
  unadvertise: { name: "topic" },
  publish: { name: "topic", type: "type", message: "msg", others: { latch, queue_size: count } },
  subscribe: {
    name: "topic",
    type: "type",
    others: { throttle_rate: milliseconds, queue_length: count, fragment_size: fragmentSize, compression },
  },
  unsubscribe: { name: "topic" },
  call_service: { name: "service", type: "type", message: "args", others: { fragment_size: fragmentSize, compression, timeout: seconds } },
  send_action_goal: {
    name: "action",
    type: "action_type",
    message: "args",
    others: { feedback: boolean, fragment_size: fragmentSize, compression },
  },
  cancel_action_goal: { name: "action" },
};

/** Why the rest of the protocol is refused whatever the rules say. */
const NEVER: Readonly<Record<string, string>> = {
  advertise_service: "a client may not offer a service to the robot",
  unadvertise_service: "a client may not offer a service to the robot",
  service_response: "a client may not answer for a service",
  advertise_action: "a client may not offer an action to the robot",
  unadvertise_action: "a client may not offer an action to the robot",
  action_feedback: "a client may not answer for an action",
  action_result: "a client may not answer for an action",
  set_level: "a client may not choose what the robot tells",
  status: "a client may not tell the status of the robot",
  auth: "the filter is the client's only access, so there is nothing to prove to the robot",
  png: "packed messages are not passed on",
};

/** Longest id. */
const MAX_ID_CHARS = 512;

/**
 * Reads a JSON value as an operation that may pass.
 * @returns why it is refused whatever the rules say, otherwise
 */
export function readOperation(value: Readonly<Record<string, unknown>>): Operation | { readonly problem: string } {
  const { op, id, ...fields } = value;
  if (typeof op !== "string") return { problem: "op: expected the name of an operation, such as publish" };
  const form = Object.hasOwn(FORMS, op) ? FORMS[op as OperationName] : undefined;
  if (form === undefined) {
    return {
      problem:
        (Object.hasOwn(NEVER, op) ? NEVER[op] : undefined) ??
        `op: ${JSON.stringify(op.slice(0, 40))} is no operation that the filter knows`,
    };
  }
  if (!isId(id)) return { problem: "id: expected a text or a whole number" };
  const name = fields[form.name];
  const parts = typeof name === "string" ? readRosName(name) : undefined;
  if (typeof name !== "string" || parts === undefined) {
    return { problem: `${form.name}: expected an absolute name of letters, digits and _, such as /cmd_vel` };
  }
  const type = form.type === undefined ? undefined : (fields[form.type] ?? undefined);
  if (type !== undefined && (typeof type !== "string" || readRosType(type) === undefined)) {
    return { problem: `${form.type}: expected the name of a type, such as geometry_msgs/Twist` };
  }
  const message = form.message === undefined ? undefined : readMessage(fields[form.message]);
  if (message !== undefined && "problem" in message) return { problem: `${form.message}: ${message.problem}` };
  const others: Record<string, unknown> = {};
  for (const [field, each] of Object.entries(fields)) {
    if (field === form.name || field === form.type || field === form.message) continue;
    const read = form.others !== undefined && Object.hasOwn(form.others, field) ? form.others[field] : undefined;
    if (read === undefined) return { problem: `${JSON.stringify(field.slice(0, 40))}: ${op} has no such field that the filter knows` };
    if (each === null) continue;
    const verdict = read(each);
    if (typeof verdict === "object") return { problem: `${field}: ${verdict.expected}` };
    if (verdict === "pass") others[field] = each;
  }
  return { op: op as OperationName, id, name, parts, type, message: message?.value, others };
}

function isId(id: unknown): id is OperationId | undefined {
  return id === undefined || Number.isSafeInteger(id) || (typeof id === "string" && id !== "" && id.length <= MAX_ID_CHARS);
}

/** By position, nobody but the robot knows which argument is which. */
function readMessage(value: unknown): { value: Record<string, unknown> } | { problem: string } {
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return { value: {} };
  if (typeof value === "object" && !Array.isArray(value)) return { value: value as Record<string, unknown> };
  return { problem: "expected an object with the fields by their names" };
}

/** The operation as it is written to the device. @param message as text, undefined for none */
export function writeOperation(
  { op, name, others }: Operation,
  { id, type, message }: { id: OperationId | undefined; type: string | undefined; message: string | undefined },
): string {
  const form = FORMS[op];
  const head = JSON.stringify({ op, id, [form.name]: name, ...(form.type === undefined ? {} : { [form.type]: type }), ...others });
  return message === undefined || form.message === undefined ? head : `${head.slice(0, -1)},"${form.message}":${message}}`;
}
