import type { FilterKind } from "../run/filter-kind.ts";
import { type CompiledHttpRules, parseHttpRules } from "../rules/http-rules.ts";
import { parseRrhttpRules, RRHTTP_WITHOUT_FILE } from "../rules/rrhttp-rules.ts";
import { parseTarget } from "../run/device-address.ts";
import { startHttpFilter } from "./http-filter.ts";

/**
 * The `http` filter for one device.
 * @param target `host:port` of the device; an IPv6 host is in brackets
 * @throws AppError `bad_input`
 */
export function httpFilterKind({ target }: { readonly target: string }): FilterKind<CompiledHttpRules> {
  const device = parseTarget(target);
  return {
    name: "http",
    parseRules: parseHttpRules,
    start: (tools) => startHttpFilter({ ...tools, device }),
  };
}

/**
 * The same filter, with configuration files of the existing program `rrhttp`; without one all passes, as there.
 * @param target as of `httpFilterKind`
 * @throws AppError `bad_input`
 */
export function rrhttpFilterKind({ target }: { readonly target: string }): FilterKind<CompiledHttpRules> {
  const device = parseTarget(target);
  return {
    name: "rrhttp",
    withoutFile: RRHTTP_WITHOUT_FILE,
    parseRules: parseRrhttpRules,
    start: (tools) => startHttpFilter({ ...tools, device }),
  };
}
