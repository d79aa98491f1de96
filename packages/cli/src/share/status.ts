import { AppError, describeRest } from "@hardshare/protocol";
import { describeTraffic } from "../output/describe-filters.ts";
import { formatFacts, formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

export const addStatus: AddVerb = (program, shell) => {
  program
    .command("status")
    .summary("show what the host daemon of this computer does")
    .action(
      runs(shell, async ({ context, output }) => {
        const { daemonStatus } = await import("@hardshare/host");
        const status = await daemonStatus({ state: context.environment.state, signal: context.interrupted });
        if (status === undefined) throw new AppError("wrong_state", "no host daemon runs here; `hardshare ad` starts one");
        output.result(status, () =>
          [
            formatFacts([
              ["server", `${status.server} (${status.isConnected ? "connected" : (status.connectionProblem ?? "not connected")})`],
              ["host", status.host],
              ["process", String(status.pid)],
            ]),
            formatTable(
              ["DEPLOYMENT", "PROVIDER", "NETWORK", "OFFERED", "INSTANCE", "USER", "PHASE"],
              status.deployments.map((it) => [
                it.id,
                it.provider ?? "",
                it.network ?? "",
                it.isAdvertised && it.problem === null ? "yes" : "no",
                it.instance?.id ?? "",
                it.instance?.user ?? "",
                [it.instance?.phase ?? "", ...(it.instance?.steps ?? [])].join(" "),
              ]),
            ),
            formatFacts(
              status.deployments.flatMap((it) => [
                [`${it.id} can't be offered`, it.problem ?? undefined] as const,
                ...(it.instance?.traffic ?? []).map((traffic) => [`${it.id} ${traffic.service}`, describeTraffic(traffic)] as const),
                ...it.alerts.map((alert) => [`${it.id} alert`, `${alert.at} ${alert.message}`] as const),
                [`${it.id} rests`, it.rest === null ? undefined : describeRest(it.rest)] as const,
                [`${it.id} is locked out`, it.lockout === null ? undefined : describeLockout(it.lockout, it.id)] as const,
              ]),
            ),
          ]
            .filter((part) => part !== "")
            .join("\n"),
        );
      }),
    )
    .addHelpText("after", examples(["hardshare status --format json", "the same for a program"]));
};

function describeLockout({ reason, actor, at }: { reason: string; actor: string; at?: string | undefined }, id: string): string {
  return `${reason} (by ${actor}${at === undefined ? "" : `, ${at}`}; \`hardshare unlock ${id}\` lifts it)`;
}
