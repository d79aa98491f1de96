import { parseTarget } from "../run/device-address.ts";
import { type CompiledTcpRules, parseTcpRules } from "../rules/tcp-rules.ts";
import type { FilterKind } from "../run/filter-kind.ts";
import { startTcpFilter } from "./tcp-filter.ts";

/**
 * The `tcp` filter for one device.
 * @param target `host:port` of the device; an IPv6 host is in brackets
 * @throws AppError `bad_input`
 */
export function tcpFilterKind({ target }: { readonly target: string }): FilterKind<CompiledTcpRules> {
  const device = parseTarget(target);
  return {
    name: "tcp",
    parseRules: parseTcpRules,
    start: (tools) => startTcpFilter({ ...tools, device }),
  };
}
