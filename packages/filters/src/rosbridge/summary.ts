import { MAX_DECISION_SUMMARY_CHARS } from "@hardshare/protocol";

/** A message in short, such as `publish /cmd_vel {"linear":{"x":0.2}}`. */
export function summarise(...parts: readonly (string | undefined)[]): string {
  const text = parts
    .filter((part) => part !== undefined)
    .map((part) => part.slice(0, MAX_DECISION_SUMMARY_CHARS))
    .join(" ");
  return text.length > MAX_DECISION_SUMMARY_CHARS ? `${text.slice(0, MAX_DECISION_SUMMARY_CHARS - 1)}…` : text;
}
