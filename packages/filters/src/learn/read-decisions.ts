import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { AppError } from "@hardshare/protocol";
import * as z from "zod";

const HttpMessage = z.object({
  method: z.string(),
  path: z.string().startsWith("/"),
  query: z.record(z.string(), z.unknown()).optional(),
  body: z.unknown().optional(),
});
/** A request, or a message of a WebSocket (`WS`), as a filter recorded it. */
export type HttpMessage = z.infer<typeof HttpMessage>;

const RpcMessage = HttpMessage.extend({
  procedure: z.object({ allow: z.string(), run: z.array(z.string()), stdin: z.string().optional() }),
});
/** A call of a procedure, with the procedure as its rule has it. */
export type RpcMessage = z.infer<typeof RpcMessage>;

const SerialMessage = z.object({ line: z.string() });
/** A line, a character for each byte, as a filter recorded it. */
export type SerialMessage = z.infer<typeof SerialMessage>;

const RosMessage = z.object({ op: z.string(), name: z.string(), type: z.string().optional(), message: z.unknown().optional() });
/** An operation of the rosbridge protocol, as a filter recorded it. */
export type RosMessage = z.infer<typeof RosMessage>;

const MqttMessage = z.union([
  z.object({
    publish: z.string().min(1),
    qos: z.int().min(0).max(2),
    retain: z.boolean(),
    payload: z.unknown().optional(),
    text: z.union([z.string(), z.number(), z.boolean()]).optional(),
    contentType: z.string().optional(),
    responseTopic: z.string().optional(),
    userProperties: z.record(z.string(), z.string()).optional(),
  }),
  z.object({ subscribe: z.string().min(1), qos: z.int().min(0).max(2) }),
  z.object({ connect: z.number() }),
]);
/** A message or a subscription, as a filter recorded it. */
export type MqttMessage = z.infer<typeof MqttMessage>;

const RecordedDecision = z.object({
  at: z.string(),
  direction: z.enum(["in", "out"]),
  decision: z.enum(["allow", "block"]),
  mode: z.enum(["enforce", "shadow"]),
  message: z.union([RpcMessage, HttpMessage, SerialMessage, RosMessage, MqttMessage]).optional(),
});

/** What a file of `--decisions` holds that rules can be made of. */
export interface RecordedMessages {
  readonly http: readonly HttpMessage[];
  readonly rpc: readonly RpcMessage[];
  readonly serial: readonly SerialMessage[];
  readonly rosbridge: readonly RosMessage[];
  readonly mqtt: readonly MqttMessage[];
  /** Decisions without a message that could be read, and messages that were refused: nothing is learnt of them. */
  readonly leftOut: number;
}

/**
 * Reads the messages that passed to the device.
 * @throws AppError `bad_input` when it can't be read, or is no such file
 */
export async function readDecisions(file: string): Promise<RecordedMessages> {
  const http: HttpMessage[] = [];
  const rpc: RpcMessage[] = [];
  const serial: SerialMessage[] = [];
  const rosbridge: RosMessage[] = [];
  const mqtt: MqttMessage[] = [];
  let leftOut = 0;
  let number = 0;
  let broken = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      number += 1;
      if (broken > 0) {
        throw new AppError("bad_input", `${file}:${broken}: expected a decision as \`filter run --decisions FILE\` writes it`, {
          details: { field: "from", line: broken },
        });
      }
      const read = readLine(line);
      if (read === undefined) {
        broken = number; // of a filter that was killed while it wrote, when it is the last
        continue;
      }
      const { direction, decision, mode, message } = read;
      if (direction === "out") continue;
      if (message === undefined || (decision === "block" && mode === "enforce")) leftOut += 1;
      else if ("line" in message) serial.push(message);
      else if ("op" in message) rosbridge.push(message);
      else if ("procedure" in message) rpc.push(message);
      else if ("method" in message) http.push(message);
      else mqtt.push(message);
    }
  } catch (cause) {
    if (cause instanceof AppError) throw cause;
    throw new AppError("bad_input", `cannot read ${file}: ${(cause as Error).message}`, { details: { field: "from" }, cause });
  }
  return { http, rpc, serial, rosbridge, mqtt, leftOut };
}

function readLine(line: string): z.infer<typeof RecordedDecision> | undefined {
  try {
    return RecordedDecision.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
