import { FORWARD_PORT, type InstanceView } from "@hardshare/protocol";
import { type ConnectionFiles, hasSshServer } from "../launches/connection-files.ts";
import { HUB_SUFFIX, JUMP_SUFFIX } from "../launches/ssh-config.ts";
import { printable } from "../output/printable.ts";
import { quoteForShell } from "../output/shell-quote.ts";
import { formatFacts } from "../output/table.ts";
import { timeLeft } from "./time-left.ts";

export interface DescribeOptions {
  nowMs: number;
  /** What people type to start this command. */
  commandName: string;
  /** Its ssh configuration, while there is a way in. */
  files?: ConnectionFiles | undefined;
}

/** The facts of an instance for people, with the commands that lead into it; what does not work yet says so. */
export function describeInstance(view: InstanceView, { nowMs, commandName, files }: DescribeOptions): string {
  const facts = formatFacts([
    ["instance", view.id],
    ["deployment", `${view.deployment} (${view.type})`],
    ["state", view.status],
    ["reason", view.end_reason],
    ["failed step", view.failed_step],
    ["user", view.rootuser],
    ["started", `${view.starttime} UTC`],
    ["ended", view.endtime === undefined ? undefined : `${view.endtime} UTC`],
    ["time left", timeLeft(view, nowMs)],
    ["public address", view.fwd?.ipv4 === undefined || view.fwd.port === undefined ? undefined : `${view.fwd.ipv4} port ${view.fwd.port}`],
    ["jump host", view.hub === undefined ? undefined : `${view.hub.host} port ${view.hub.ssh_port}`],
    ...(files === undefined ? [] : waysIn(view, files, commandName)),
  ]);
  const parts = [facts];
  if (view.failed_log !== undefined) parts.push(printable(view.failed_log.trimEnd(), true));
  if (files !== undefined && !files.isComplete) {
    parts.push(
      `(plain ssh works once the instance is READY and its SSH host keys are known: \`hardshare info ${view.id}\` then completes the file)`,
    );
  }
  return parts.join("\n");
}

function waysIn(view: InstanceView, { configFile }: ConnectionFiles, commandName: string): (readonly [name: string, command: string])[] {
  if (!hasSshServer(view)) {
    return [
      ["through the server", `${commandName} forward ${view.id}`],
      ["ssh by jump host", `ssh -F ${quoteForShell(configFile)} -N -L 8080:${view.id}:${FORWARD_PORT} ${view.deployment}${HUB_SUFFIX}`],
    ];
  }
  return [
    ["shell", `${commandName} ssh ${view.id}`],
    ["plain ssh", `ssh -F ${quoteForShell(configFile)} ${view.deployment}`],
    ["ssh by jump host", `ssh -F ${quoteForShell(configFile)} ${view.deployment}${JUMP_SUFFIX}`],
  ];
}
