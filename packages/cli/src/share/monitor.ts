import type { MonitorResult } from "@hardshare/host";
import { pause } from "@hardshare/runtime";
import { InvalidArgumentError } from "commander";
import type { Invocation } from "../context.ts";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

export const addMonitor: AddVerb = (program, shell) => {
  program
    .command("monitor")
    .summary("run the monitors of a deployment of this host")
    .description(
      "Runs the monitors of the contract once, or again and again until one fails. When one fails the deployment is locked out\n" +
        "(unless its entry says `on_fail: alert`), the owner's hooks are told, and the exit code is 1. The host daemon runs them by\n" +
        "itself as long as it offers the deployment; this is for trying them out, and for a timer of your own.",
    )
    .argument("[id]", "id of a deployment of this host, or its beginning; may be left out when there is one")
    .option("--loop <seconds>", "repeat until the first failure, with so many seconds between two rounds", readSeconds)
    .action(
      runs(shell, async (invocation, flags: { loop?: number }, text?: string) => {
        const { context, output } = invocation;
        const { configuredDeployments, runMonitors } = await import("@hardshare/host");
        const { home, variables: environment } = context.environment;
        const ids = await configuredDeployments({ home });
        const choices = ids.map((id) => ({ ids: [id] as [string] }));
        const whenNone = "this host's are in its config.yaml, and `hardshare register` adds one";
        const deploymentId = chooseByPrefix(text, choices, { noun: "deployment", whenNone }).ids[0];
        const { clock, interrupted: signal } = context;
        for (;;) {
          const monitors = await runMonitors({ home, deploymentId, environment, clock, signal });
          const failed = monitors.filter(({ failure }) => failure !== null);
          if (failed.length > 0) {
            output.result({ deployment: deploymentId, monitors }, () => failed.map(describeFailure).join("\n"));
            await tellOwner(invocation, deploymentId, failed);
            return 1;
          }
          if (flags.loop === undefined) {
            output.result({ deployment: deploymentId, monitors }, () =>
              monitors.length === 0
                ? "the contract has no monitors"
                : monitors.length === 1
                  ? "the monitor passes"
                  : `all ${monitors.length} monitors pass`,
            );
            return 0;
          }
          await pause(clock, flags.loop * 1000, signal);
          if (signal.aborted) return 0;
        }
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare monitor", "is the robot well?"], ["hardshare monitor 3f2a --loop 60", "look each minute, until it is not"]),
    );
};

/** Locks the deployment out, if one of them says so, and tells the owner's hooks. */
async function tellOwner({ context, options }: Invocation, deploymentId: string, failed: readonly MonitorResult[]): Promise<void> {
  const { client } = await openAccess(context, options);
  const reasons = failed.map(({ failure }) => failure?.message).join("; ");
  const mustLock = failed.some(({ onFail }) => onFail !== "alert");
  if (mustLock) await client.lock(deploymentId, `monitor failed: ${reasons}`.slice(0, 1000));
  // The words of the existing client.
  const told = `hardshare monitor detected an error.${mustLock ? " The deployment has been locked to prevent new instances." : ""}`;
  await client.alert(deploymentId, `${told} ${reasons}`.slice(0, 1000));
}

function describeFailure({ failure }: MonitorResult): string {
  return `monitor failed: ${failure?.message}${failure?.log ? `\n${failure.log}` : ""}`;
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (Number.isFinite(seconds) && seconds >= 1 && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("expected a number of seconds from 1 to 86400");
}
