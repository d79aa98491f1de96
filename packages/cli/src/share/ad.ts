import type { DaemonStatus } from "@hardshare/host";
import { AppError } from "@hardshare/protocol";
import { noFailpoints } from "@hardshare/runtime";
import type { Invocation } from "../context.ts";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { programLogger, untilInterrupted, untilReady } from "../infrastructure/serving.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { VERSION } from "../version.ts";

export const addAd: AddVerb = (program, shell) => {
  program
    .command("ad")
    .summary("offer this host's deployments: run the host daemon")
    .description(
      "Offers deployments of this host, or all. Runs the host daemon until it is asked to end; then it ends its instances.\n" +
        "When the daemon runs already, the deployments are added to what it offers.",
    )
    .argument("[id...]", "ids of deployments of this host, or their beginnings; otherwise all")
    .action(
      runs(shell, async (invocation, _options, ids: string[]) => {
        const { environment, interrupted: signal } = invocation.context;
        const { home, state } = environment;
        const host = await import("@hardshare/host");
        const configured = await host.configuredDeployments({ home });
        const deployments = ids.length === 0 ? configured : ids.map((id) => chooseConfigured(configured, id));
        if (deployments.length === 0) throw new AppError("not_configured", "this host has no deployment: `hardshare register` adds one");
        if ((await host.daemonStatus({ state, signal })) === undefined) {
          await runDaemon(invocation, deployments);
          return;
        }
        await host.startAdvertising({ state, deployments, signal });
        invocation.output.result({ deployments }, () => `the host daemon offers ${deployments.join(", ")}`);
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare ad", "offer all deployments of this host"], ["hardshare ad 3f2a", "only the one whose id begins with 3f2a"]),
    );
};

/** Runs the daemon until it is asked to end, or has nothing more to offer. */
async function runDaemon(invocation: Invocation, deployments: string[]): Promise<void> {
  const { context, options, output } = invocation;
  const { startHostDaemon } = await import("@hardshare/host");
  await using daemon = await startHostDaemon({
    home: context.environment.home,
    state: context.environment.state,
    deployments,
    selfCommand: context.selfCommand,
    environment: context.environment.variables,
    softwareVersion: VERSION,
    clock: context.clock,
    random: context.random,
    failpoints: noFailpoints,
    logger: programLogger("host", options),
  });
  const asked = untilInterrupted(context);
  const waitsFor = () => {
    const { server, connectionProblem } = daemon.status();
    return connectionProblem === null ? "the container engine" : `the server at ${server} (${connectionProblem})`;
  };
  if (await untilReady(invocation, Promise.race([daemon.ready, daemon.ended]), { asked, waitsFor }))
    output.result({ deployments }, () => describeOffers(daemon.status(), deployments));
  await Promise.race([asked, daemon.ended]);
  await daemon.stop({ endInstances: true });
}

/** What is offered and what is not, with the reason: for that the daemon goes on, and looks again when its contract changes. */
function describeOffers(status: DaemonStatus, deployments: readonly string[]): string {
  const problems = new Map(status.deployments.map(({ id, problem }) => [id, problem]));
  const offered = deployments.filter((id) => (problems.get(id) ?? null) === null);
  const lines = deployments.flatMap((id) => (offered.includes(id) ? [] : [`${id} can't be offered: ${problems.get(id)}`]));
  return [...lines, `offering ${offered.length === 0 ? "nothing" : offered.join(", ")}; Ctrl-C ends instances and stops`].join("\n");
}

function chooseConfigured(configured: readonly string[], text: string): string {
  const choices = configured.map((id) => ({ ids: [id] as [string] }));
  const whenNone = "this host's are in its config.yaml, and `hardshare register` adds one";
  return chooseByPrefix(text, choices, { noun: "deployment", whenNone }).ids[0];
}
