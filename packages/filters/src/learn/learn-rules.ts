import { AppError } from "@hardshare/protocol";
import { learnHttp } from "./learn-http.ts";
import { learnMqtt } from "./learn-mqtt.ts";
import { learnRosbridge } from "./learn-rosbridge.ts";
import { learnRpc } from "./learn-rpc.ts";
import { learnSerial } from "./learn-serial.ts";
import { writeRules } from "./proposed-rules.ts";
import { readDecisions } from "./read-decisions.ts";

/**
 * Proposes a rules file from the decisions of an instance (`filter run --decisions FILE`): it lets through every message
 * that it was made of, as far as those were recorded whole, and blocks others.
 * @param from the file of decisions
 * @throws AppError `bad_input`
 */
export async function learnRules(from: string): Promise<string> {
  const { leftOut, ...recorded } = await readDecisions(from);
  const kinds = Object.entries(recorded).filter(([, messages]) => messages.length > 0);
  const refuse = (problem: string) => new AppError("bad_input", `${from} ${problem}`, { details: { field: "from" } });
  if (kinds.length > 1) throw refuse(`has messages of the filters ${kinds.map(([kind]) => kind).join(" and ")}: expected one of them`);
  if (kinds.length === 0) throw refuse("has no message that passed to the device: record some first, with rules that have `mode: shadow`");
  const { http, rpc, serial, rosbridge, mqtt } = recorded;
  const remarks = leftOut === 0 ? [] : [`Left out: ${leftOut} that were refused, or could not be read.`];
  if (rosbridge.length > 0) return writeRules(learnRosbridge(rosbridge), remarks);
  if (mqtt.length > 0) return writeRules(learnMqtt(mqtt), remarks);
  if (rpc.length > 0) {
    return writeRules(
      learnRpc(rpc),
      [...remarks, "`timeout`, `at_once` and the like are still to be copied from the rules in force."],
      "rpc",
    );
  }
  return serial.length > 0
    ? writeRules(learnSerial(serial), [...remarks, "`messages`, if they are not lines, are still to be copied from the rules in force."])
    : writeRules(learnHttp(http), remarks);
}
