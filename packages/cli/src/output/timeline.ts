import { formatDuration, type TimelineData, type TimelineEvent } from "@hardshare/protocol";
import { describeDecision, describeExcerpt, describeTraffic } from "./describe-filters.ts";
import type { Colours } from "./output.ts";
import { printable } from "./printable.ts";

/** One event of a timeline in a few words, or undefined for what people need not see. */
export function describeEvent(event: TimelineEvent, colours: Colours): string | undefined {
  switch (event.kind) {
    case "state":
      return describeState(event.data as unknown as TimelineData["state"], colours);
    case "step":
      return describeStep(event.data as unknown as TimelineData["step"], colours);
    case "log": {
      const { step, text } = event.data as unknown as TimelineData["log"];
      return indent(`${step}: ${text}`, colours);
    }
    case "alert":
    case "estop":
      return colours.red(`! ${printable((event.data as unknown as TimelineData["alert"]).message)}`);
    case "notice": {
      const { level, message } = event.data as unknown as TimelineData["notice"];
      return level === "info" ? `  ${printable(message)}` : colours.yellow(`! ${printable(message)}`);
    }
    case "filter":
      return describeDecision(event.data as unknown as TimelineData["filter"], colours);
    case "tap":
      return describeExcerpt(event.data as unknown as TimelineData["tap"], colours);
    case "traffic": {
      const traffic = event.data as unknown as TimelineData["traffic"];
      return `  ${printable(traffic.service)}: ${describeTraffic(traffic)}`;
    }
    default:
      return undefined;
  }
}

function describeState(data: TimelineData["state"], colours: Colours): string {
  const why = data.reason === undefined ? "" : ` (${printable(data.reason)})`;
  const text = `${printable(data.state)}${why}`;
  if (data.state === "READY") return colours.green(text);
  return data.state === "INIT_FAIL" ? colours.red(text) : colours.bold(text);
}

function describeStep(data: TimelineData["step"], colours: Colours): string {
  const took = data.ms === undefined ? "" : `  ${colours.dim(formatMs(data.ms))}`;
  const name = printable(data.step);
  const log = data.log === undefined || data.log.trim() === "" ? "" : `\n${indent(data.log, colours)}`;
  switch (data.phase) {
    case "started":
      return `  ${colours.dim("…")} ${name}`;
    case "done":
      return `  ${colours.green("✓")} ${name}${took}${log}`;
    case "undone":
      return `  ${colours.dim("↩")} ${name}${took}${log}`;
    case "skipped":
      return `  ${colours.dim("-")} ${name}${log}`;
    case "failed":
    case "undo_failed":
      return `  ${colours.red("✗")} ${name}${data.phase === "undo_failed" ? " (undo)" : ""}${took}${log}`;
  }
}

function formatMs(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)} ms` : formatDuration(ms / 1000);
}

function indent(text: string, colours: Colours): string {
  return printable(text.trimEnd(), true)
    .split("\n")
    .map((line) => colours.dim(`      ${line}`))
    .join("\n");
}
