import { readFile } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { guessKind, TRIAL_KINDS, type TrialKind } from "./guess-kind.ts";
import { openHttpTrial } from "./http-trial.ts";
import { openMqttTrial } from "./mqtt-trial.ts";
import { readMessages } from "./read-messages.ts";
import { openRosbridgeTrial } from "./rosbridge-trial.ts";
import { openRpcTrial } from "./rpc-trial.ts";
import { openSerialTrial } from "./serial-trial.ts";
import { openTcpTrial } from "./tcp-trial.ts";
import type { Trial, TriedMessage } from "./trial.ts";

export interface TryMessagesOptions {
  readonly rulesFile: string;
  /** Messages, or `@file`s of them. */
  readonly messages: readonly string[];
  /** Kind of the filter; undefined: as the rules file looks. */
  readonly kind: string | undefined;
  readonly clock: Clock;
}

/** How a trial of each kind is opened: of the text of a rules file. */
export const OPEN_TRIAL: Record<TrialKind, (text: string, options: { file: string; clock: Clock }) => Promise<Trial>> = {
  http: openHttpTrial,
  mqtt: openMqttTrial,
  rosbridge: openRosbridgeTrial,
  rpc: openRpcTrial,
  serial: openSerialTrial,
  tcp: openTcpTrial,
};

/**
 * Tries messages on rules, one after the other, without hardware: limits are used up by those before.
 * @throws AppError `config_invalid` (rules), `bad_input` (messages, kind)
 */
export async function* tryMessages({ rulesFile, messages, kind, clock }: TryMessagesOptions): AsyncGenerator<TriedMessage> {
  let text: string;
  try {
    text = await readFile(rulesFile, "utf8");
  } catch (cause) {
    throw new AppError("config_invalid", `cannot read the rules file ${rulesFile}: ${(cause as Error).message}`, {
      details: { file: rulesFile },
      cause,
    });
  }
  const known = chooseKind(kind, text, rulesFile);
  const read = (await Promise.all(messages.map((argument) => readMessages(argument, known)))).flat();
  await using trial = await OPEN_TRIAL[known](text, { file: rulesFile, clock });
  for (const message of read) yield await trial.try(message);
}

function chooseKind(kind: string | undefined, text: string, file: string): TrialKind {
  const named = kind ?? guessKind(text, file);
  const known = TRIAL_KINDS.find((each) => each === named);
  if (known !== undefined) return known;
  const problem = named === undefined ? `it can't be told for which filter ${file} is` : `messages of the filter ${named} can't be tried`;
  throw new AppError("bad_input", `${problem}: expected --filter ${TRIAL_KINDS.join(", ").replace(/, (\w+)$/, " or $1")}`, {
    details: { field: "filter" },
  });
}
