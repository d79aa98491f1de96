import { systemRandom } from "@hardshare/runtime";
import { parseTarget } from "../run/device-address.ts";
import { type CompiledRosbridgeRules, parseRosbridgeRules } from "../rules/rosbridge-rules.ts";
import type { FilterKind } from "../run/filter-kind.ts";
import { startRosbridgeFilter } from "./rosbridge-filter.ts";

/**
 * The `rosbridge` filter for one robot.
 * @param target `host:port` of its rosbridge; an IPv6 host is in brackets
 * @throws AppError `bad_input`
 */
export function rosbridgeFilterKind({ target }: { readonly target: string }): FilterKind<CompiledRosbridgeRules> {
  const device = parseTarget(target);
  return {
    name: "rosbridge",
    parseRules: parseRosbridgeRules,
    start: (tools) => startRosbridgeFilter({ ...tools, device, random: systemRandom }),
  };
}
