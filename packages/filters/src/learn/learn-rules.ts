import { AppError } from "@hardshare/protocol";
import { learnHttp } from "./learn-http.ts";
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
  const { http, serial, leftOut } = await readDecisions(from);
  if (http.length > 0 && serial.length > 0) {
    throw new AppError("bad_input", `${from} has messages of an http filter and of a serial one: expected one of them`, {
      details: { field: "from" },
    });
  }
  if (http.length === 0 && serial.length === 0) {
    throw new AppError(
      "bad_input",
      `${from} has no message that passed to the device: record some first, with rules that have \`mode: shadow\``,
      {
        details: { field: "from" },
      },
    );
  }
  const remarks = leftOut === 0 ? [] : [`Left out: ${leftOut} that were refused, or could not be read.`];
  return serial.length > 0
    ? writeRules(learnSerial(serial), [...remarks, "`messages`, if they are not lines, are still to be copied from the rules in force."])
    : writeRules(learnHttp(http), remarks);
}
