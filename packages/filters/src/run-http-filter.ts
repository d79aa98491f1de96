import type { Writable } from "node:stream";
import { AppError, type FilterDecision } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import type { DeviceAddress } from "./http/device-connection.ts";
import { startHttpFilter } from "./http/http-filter.ts";
import { loadHttpRules } from "./rules/http-rules.ts";

export interface RunHttpFilterOptions {
  /** `host:port` of the device. */
  readonly target: string;
  readonly rulesFile: string;
  /** Address to listen at. */
  readonly host: string;
  /** Port to listen at; 0 for a free one. */
  readonly port: number;
  /** Gets one line: the `host:port` at which the filter serves. */
  readonly stdout: Writable;
  /** Gets each decision as a line of JSON (`FilterDecision`). Node writes to a pipe at once, so a reader that stops holds requests back. */
  readonly stderr: Writable;
  /** Whether allowed requests are reported too, not only refused ones. */
  readonly reportsAllowed: boolean;
  /** Ends the filter. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The filter as a program: `hardshare filter run http --target HOST:PORT --rules FILE`. Serves until `signal` is
 * aborted. Like every filter it prints its address on the first line of standard output.
 * @throws AppError `bad_input` (target), `config_invalid` (rules file), `port_in_use`, `not_configured`
 */
export async function runHttpFilter(options: RunHttpFilterOptions): Promise<void> {
  const { clock, logger, host, port, signal } = options;
  const device = parseTarget(options.target);
  const rules = await loadHttpRules(options.rulesFile);
  const onDecision = (decision: FilterDecision) => {
    if (decision.decision === "block" || options.reportsAllowed) options.stderr.write(`${JSON.stringify(decision)}\n`);
  };
  await using filter = await startHttpFilter({ host, port, device, rules, onDecision, clock, logger });
  options.stdout.write(`${filter.address}\n`);
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/**
 * Reads `host:port`; an IPv6 host is in brackets.
 * @throws AppError `bad_input`
 */
export function parseTarget(target: string): DeviceAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(target);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new AppError("bad_input", `target: expected host:port of the device, such as 192.168.1.134:80, not ${target}`, {
      details: { field: "target" },
    });
  }
  return { host, port };
}
