import { type PathTemplate, matchesExactly } from "./path-template.ts";

/** Longest name of a topic, service or action. */
const MAX_NAME_CHARS = 256;
const NAME = /^(?:\/[A-Za-z_][A-Za-z0-9_]*)+$/;
const TYPE = /^([A-Za-z]\w{0,99})(?:\/(?:msg|srv|action))?\/([A-Za-z]\w{0,99})$/;

/**
 * The parts of an absolute name. A relative one, `~name`, and one with `#` (of which rosbridge drops the rest) depend on
 * who reads them.
 * @returns undefined for what is none
 */
export function readRosName(text: string): readonly string[] | undefined {
  return text.length <= MAX_NAME_CHARS && NAME.test(text) ? text.slice(1).split("/") : undefined;
}

/** The name of a type in one spelling for ROS 1 and 2; undefined for what is none. */
export function readRosType(text: string): string | undefined {
  const [, holder, name] = TYPE.exec(text) ?? [];
  return holder === undefined ? undefined : `${holder}/${name}`;
}

/** Services by which a caller changes how the nodes themselves work. */
const CHANGES_NODES = new Set([
  "set_parameters",
  "set_parameters_atomically",
  "set_param",
  "delete_param",
  "set_logger_level",
  "set_logger_levels",
  "change_state",
]);

/**
 * Whether a part of a name stands for something that an owner who wrote `*` did not think of: names that ROS 2 hides
 * (`_action`), the services of rosapi, and those that set parameters.
 */
function isReserved(parts: readonly string[], index: number): boolean {
  const part = (parts[index] ?? "").toLowerCase();
  return part.startsWith("_") || part === "rosapi" || (index === parts.length - 1 && CHANGES_NODES.has(part));
}

/** Whether a name has a part that only a rule which writes it out lets through. */
export function hasReservedPart(parts: readonly string[]): boolean {
  return parts.some((_part, index) => isReserved(parts, index));
}

/** Whether a name fits the pattern of an allow: reserved parts must be written out in it. */
export function fitsAllowed(pattern: PathTemplate, parts: readonly string[]): boolean {
  if (!matchesExactly(pattern, parts)) return false;
  return parts.every((_part, index) => {
    const segment = pattern.segments[index];
    return (segment !== undefined && "text" in segment) || !isReserved(parts, index);
  });
}
