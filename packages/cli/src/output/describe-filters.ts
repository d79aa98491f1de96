import type { ServiceTraffic, TimelineData } from "@hardshare/protocol";
import type { Colours } from "./output.ts";
import { printable } from "./printable.ts";

const ARROWS = { in: "→", out: "←" } as const;

/** What a filter decided, in one line. */
export function describeDecision(data: TimelineData["filter"], colours: Colours): string {
  const { service, direction, decision, summary, rule, because, count, missed, mode } = data;
  const mark = decision === "allow" ? colours.green("✓") : colours.red("✗");
  const times = count === undefined ? "" : ` (×${count})`;
  const why = because === undefined ? "" : `: ${printable(because)}`;
  const facts = [
    `rule ${printable(rule)}`,
    ...(mode === "shadow" && decision === "block" ? ["passed all the same, because the rules are on trial"] : []),
    ...(missed === undefined ? [] : [`${missed} more before it are not shown`]),
  ];
  return `  ${mark} ${printable(service)} ${ARROWS[direction]} ${printable(summary)}${times}${why}  ${colours.dim(`(${facts.join("; ")})`)}`;
}

/** What began to go through a tapped service, in one line. */
export function describeExcerpt({ service, direction, sizeBytes, excerpt }: TimelineData["tap"], colours: Colours): string {
  return colours.dim(`    ${printable(service)} ${ARROWS[direction]} ${sizeBytes} bytes: ${printable(excerpt)}`);
}

/** How much went through a service, in a few words. */
export function describeTraffic({ bytes, messages }: Omit<ServiceTraffic, "service">): string {
  const judged = messages === undefined ? "" : `; ${messages.in} messages in, ${messages.out} out, ${messages.blocked} of them refused`;
  return `${formatBytes(bytes.in)} in, ${formatBytes(bytes.out)} out${judged}`;
}

function formatBytes(count: number): string {
  if (count < 10_000) return `${count} bytes`;
  return count < 10_000_000 ? `${Math.round(count / 1000)} kB` : `${Math.round(count / 1_000_000)} MB`;
}
