import { readFileSync } from "node:fs";
import { AppError } from "@hardshare/protocol";
import { parseTarget } from "../run/device-address.ts";
import { type CompiledMqttRules, parseMqttRules } from "../rules/mqtt-rules.ts";
import type { FilterKind } from "../run/filter-kind.ts";
import type { BrokerCredentials } from "./connect-exchange.ts";
import { startMqttFilter } from "./mqtt-filter.ts";

/** What a CONNECT can hold. */
const MAX_PASSWORD_BYTES = 65_535;

export interface MqttFilterKindOptions {
  /** `host:port` of the broker; an IPv6 host is in brackets. */
  readonly target: string;
  /** The filter's name at the broker, which no client learns. */
  readonly username?: string | undefined;
  /** File whose first line is the password. */
  readonly passwordFile?: string | undefined;
}

/**
 * The `mqtt` filter for one broker.
 * @throws AppError `bad_input` (target), `config_invalid` (password file)
 */
export function mqttFilterKind({ target, username, passwordFile }: MqttFilterKindOptions): FilterKind<CompiledMqttRules> {
  const broker = parseTarget(target);
  const credentials = readCredentials(username, passwordFile);
  return {
    name: "mqtt",
    parseRules: parseMqttRules,
    start: (tools) => startMqttFilter({ ...tools, broker, credentials }),
  };
}

function readCredentials(username: string | undefined, file: string | undefined): BrokerCredentials {
  if (file === undefined) return { username, password: undefined };
  if (username === undefined) {
    throw new AppError("bad_input", "password-file: expected a user name too (--username)", { details: { field: "password-file" } });
  }
  const [password = ""] = readText(file).split(/\r?\n/);
  if (password === "" || Buffer.byteLength(password) > MAX_PASSWORD_BYTES) {
    throw new AppError("config_invalid", `expected a password of 1 to ${MAX_PASSWORD_BYTES} bytes on the first line of ${file}`, {
      details: { file },
    });
  }
  return { username, password: Buffer.from(password) };
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new AppError("config_invalid", `cannot read the password file ${file}: ${(cause as Error).message}`, {
      details: { file },
      cause,
    });
  }
}
