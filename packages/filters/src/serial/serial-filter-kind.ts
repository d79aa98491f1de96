import { type CompiledSerialRules, parseSerialRules } from "../rules/serial-rules.ts";
import type { FilterKind } from "../run/filter-kind.ts";
import { startSerialFilter } from "./serial-filter.ts";

/**
 * The `serial` filter for one device.
 * @param target path of the device file
 * @param baud bits per second
 */
export function serialFilterKind({ target, baud }: { readonly target: string; readonly baud: number }): FilterKind<CompiledSerialRules> {
  return {
    name: "serial",
    parseRules: parseSerialRules,
    start: (tools) => startSerialFilter({ ...tools, device: target, baud }),
  };
}
