import { findLauncher } from "@hardshare/runtime";
import { startHttpFilter } from "../http/http-filter.ts";
import type { CompiledHttpRules } from "../rules/http-rules.ts";
import type { LimitKeeper } from "../rules/limits.ts";
import { parseRpcRules } from "../rules/rpc-rules.ts";
import { parseRrpcRules, RRPC_WITHOUT_FILE } from "../rules/rrpc-rules.ts";
import type { FilterKind, FilterTools, RunningFilter } from "../run/filter-kind.ts";
import { ProcedureRunner } from "./procedure-runner.ts";
import { ProcedureTurns } from "./procedure-turns.ts";

/** The `rpc` filter: an HTTP server whose requests are judged as those of the `http` filter, and answered by programs of the owner. */
export function rpcFilterKind(): FilterKind<CompiledHttpRules> {
  const turns = new ProcedureTurns();
  return {
    name: "rpc",
    parseRules: (text, file, limits) =>
      parseRpcRules(text, file, { limits, isBusy: (procedure) => turns.isBusy(procedure), checksPrograms: true }),
    start: (tools) => startRpcFilter(tools, turns),
  };
}

/** The same filter, with configuration files of the existing program `rrpc`; without one it has no procedure, as there. */
export function rrpcFilterKind(): FilterKind<CompiledHttpRules> {
  const turns = new ProcedureTurns();
  return {
    name: "rrpc",
    withoutFile: RRPC_WITHOUT_FILE,
    parseRules: (text, file) => parseRrpcRules(text, file, (procedure) => turns.isBusy(procedure)),
    start: (tools) => startRpcFilter(tools, turns),
  };
}

/** Reads a rules file as the filter would. @throws AppError `config_invalid` */
export function checkRpcRules(text: string, file: string, limits: LimitKeeper): CompiledHttpRules {
  return rpcFilterKind().parseRules(text, file, limits);
}

/** Reads a configuration file as the filter would. @throws AppError `config_invalid` */
export function checkRrpcRules(text: string, file: string, limits: LimitKeeper): CompiledHttpRules {
  return rrpcFilterKind().parseRules(text, file, limits);
}

async function startRpcFilter(tools: FilterTools<CompiledHttpRules>, turns: ProcedureTurns): Promise<RunningFilter> {
  const { clock, logger } = tools;
  const runner = new ProcedureRunner({ turns, launcher: await findLauncher(), clock, logger });
  const filter = await startHttpFilter({ ...tools, device: () => runner.respond() });
  return {
    get address() {
      return filter.address;
    },
    async cutAll() {
      const cut = filter.cutAll(); // first: no call begins any more
      await runner.kill();
      await cut;
    },
    async [Symbol.asyncDispose]() {
      void runner.kill(); // at once: whoever ends the filter waits for no procedure
      await filter[Symbol.asyncDispose]();
    },
  };
}
