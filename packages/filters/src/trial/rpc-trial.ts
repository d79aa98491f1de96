import type { Clock } from "@hardshare/runtime";
import type { Responder } from "../http/device-link.ts";
import { HeldMemory } from "../http/held-body.ts";
import { startHttpFilter } from "../http/http-filter.ts";
import type { CompiledHttpRules } from "../rules/http-rules.ts";
import { parseRpcRules } from "../rules/rpc-rules.ts";
import { readCall } from "../rpc/read-call.ts";
import type { FilterKind } from "../run/filter-kind.ts";
import { openRequestTrial } from "./http-trial.ts";
import type { Trial } from "./trial.ts";

/**
 * Tries calls on the filter itself, without running a program: what reaches the device is the argument vector, as a list
 * in JSON, and what is given on standard input after ` < `. Programs need not be there.
 * @throws AppError `config_invalid`
 */
export async function openRpcTrial(rulesText: string, { file, clock }: { file: string; clock: Clock }): Promise<Trial> {
  const device = { reached: [] as string[], onReached: () => {}, async [Symbol.asyncDispose]() {} };
  const reach = (message: string) => {
    device.reached.push(message);
    device.onReached();
  };
  const kind: FilterKind<CompiledHttpRules> = {
    name: "rpc",
    parseRules: (text, name, limits) => parseRpcRules(text, name, { limits, isBusy: () => false, checksPrograms: false }),
    start: (tools) => startHttpFilter({ ...tools, device: () => recorder(reach, clock) }),
  };
  return openRequestTrial({ device, kind, rulesText, file, clock });
}

function recorder(reach: (message: string) => void, clock: Clock): Responder {
  const memory = new HeldMemory();
  return {
    forward(request, sink, settle, rule) {
      void readCall(request, sink, { memory, clock }).then((input) => {
        const call = "status" in input ? undefined : rule?.procedure?.fill(input);
        if (call !== undefined && "argv" in call) reach(JSON.stringify(call.argv) + (call.stdin === undefined ? "" : ` < ${call.stdin}`));
        sink.begin({ status: 200, statusMessage: "", rawHeaders: ["Content-Length", "0"], isKeptAlive: true });
        sink.end(undefined, () => settle("done"));
      });
    },
    cut: () => {},
    [Symbol.dispose]: () => {},
  };
}
