import type { Service } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { openBudgetBook } from "../rules/budget-book.ts";
import { parseHttpRules } from "../rules/http-rules.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { readRules } from "../rules/live-rules.ts";
import { parseMqttRules } from "../rules/mqtt-rules.ts";
import { parseRosbridgeRules } from "../rules/rosbridge-rules.ts";
import { parseRrhttpRules } from "../rules/rrhttp-rules.ts";
import { parseSerialRules } from "../rules/serial-rules.ts";
import { checkRpcRules, checkRrpcRules } from "../rpc/rpc-filter-kind.ts";
import { parseTcpRules } from "../rules/tcp-rules.ts";
import type { FilterKind } from "./filter-kind.ts";

/** A kind of filter, as contracts name it. */
type Filter = NonNullable<Service["filter"]>;

/** How the rules of each kind of filter are read. */
const PARSERS: Readonly<Record<Filter, FilterKind<unknown>["parseRules"]>> = {
  http: parseHttpRules,
  rosbridge: parseRosbridgeRules,
  rrhttp: parseRrhttpRules,
  mqtt: parseMqttRules,
  serial: parseSerialRules,
  rpc: checkRpcRules,
  rrpc: checkRrpcRules,
  tcp: parseTcpRules,
};

/**
 * Reads a rules file as a filter of this kind would.
 * @throws AppError `config_invalid` with file, line, column, field and what was expected
 */
export async function checkRulesFile(options: { filter: Filter; file: string; clock: Clock }): Promise<void> {
  const { filter, file, clock } = options;
  using book = openBudgetBook({ file: undefined, clock });
  const limits = new LimitKeeper({ clock, book });
  await readRules(file, (text, name) => PARSERS[filter](text, name, limits));
}
