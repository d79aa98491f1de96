import { describeRest } from "@hardshare/protocol";
import { openAccess } from "../login/credentials.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

export const addList: AddVerb = (program, shell) => {
  program
    .command("list")
    .summary("list your deployments, as the server sees them")
    .option("--include-dissolved", "also those that were dissolved")
    .action(
      runs(shell, async ({ context, options, output }, flags: { includeDissolved?: boolean }) => {
        const { client } = await openAccess(context, options);
        const { owner, wdeployments } = await client.ownedDeployments({ withDissolved: flags.includeDissolved === true });
        output.result({ owner, deployments: wdeployments }, () => {
          if (wdeployments.length === 0) return `${owner} owns no deployment; \`hardshare register\` adds one`;
          const table = formatTable(
            ["ID", "STATE", "PROVIDER", "INSTANCE", "USER", "UNTIL", "DESCRIPTION"],
            wdeployments.map((it) => [
              it.id,
              it.dissolved !== null
                ? "dissolved"
                : it.lockout
                  ? "locked"
                  : !it.online
                    ? "offline"
                    : it.resting === undefined
                      ? "online"
                      : "resting",
              it.provider ?? "",
              it.instance?.id ?? "",
              it.instance?.user ?? "",
              it.instance?.expires ?? "",
              it.desc ?? "",
            ]),
          );
          return [table, ...wdeployments.flatMap(troublesOf)].join("\n");
        });
      }),
    )
    .addHelpText("after", examples(["hardshare list", "who uses your robots, and until when"]));
};

interface Troubled {
  id: string;
  resting?: { why: string; until: string | null } | undefined;
  lockout_info?: { reason: string; actor: string; at: string } | undefined;
  dissolved_info?: { reason: string; actor: string; at: string } | undefined;
  alerts: { at: string; message: string }[];
}

function troublesOf({ id, lockout_info: lockout, dissolved_info: dissolution, resting, alerts }: Troubled): string[] {
  const lines = alerts.map((alert) => `${id}: ${alert.at} ${alert.message}`);
  if (resting !== undefined) lines.unshift(`${id}: resting ${describeRest(resting)}`);
  if (lockout !== undefined) {
    lines.unshift(`${id}: locked out by ${lockout.actor} at ${lockout.at}: ${lockout.reason} (\`hardshare unlock ${id}\` lifts it)`);
  }
  if (dissolution !== undefined) lines.unshift(`${id}: dissolved by ${dissolution.actor} at ${dissolution.at}: ${dissolution.reason}`);
  return lines;
}
