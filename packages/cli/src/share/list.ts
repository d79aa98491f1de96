import type { LocalDeployment } from "@hardshare/host";
import { describeRest, toAppError } from "@hardshare/protocol";
import type { CliContext } from "../context.ts";
import type { OwnedDeployment } from "../ids/deployments.ts";
import { openAccess } from "../login/credentials.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

interface ListFlags {
  all?: boolean;
  local?: boolean;
  includeDissolved?: boolean;
}

export const addList: AddVerb = (program, shell) => {
  program
    .command("list")
    .summary("list your deployments: what is configured here, and what the server says of them")
    .description(
      "Lists the deployments in the configuration of this host with what the server says of them. On a computer that is no host:\n" +
        "all of yours.",
    )
    .option("--all", "also deployments of yours that are not in the configuration of this host")
    .option("--local", "only what is configured here; the server is not asked")
    .option("--include-dissolved", "also those that were dissolved")
    .action(
      runs(shell, async ({ context, options, output }, flags: ListFlags) => {
        const local = await readLocal(context);
        if (flags.local === true) {
          output.result({ deployments: local.map(localView) }, () => (local.length === 0 ? NONE_HERE : localTable(local)));
          return;
        }
        const { client } = await openAccess(context, options);
        const remote = await client.ownedDeployments({ withDissolved: flags.includeDissolved === true });
        // One that was dissolved is in no configuration any more.
        const isHere = ({ id, dissolved }: OwnedDeployment) => dissolved !== null || local.some((it) => it.id === id);
        const shown = flags.all === true || local.length === 0 ? remote.wdeployments : remote.wdeployments.filter(isHere);
        const value = { local: { deployments: local.map(localView) }, remote: { owner: remote.owner, deployments: shown } };
        output.result(value, () => {
          const unknown = local.filter(({ id }) => !remote.wdeployments.some((it) => it.id === id));
          const hidden = remote.wdeployments.length - shown.length;
          return [
            shown.length === 0 ? `${remote.owner} owns no deployment; \`hardshare register\` adds one` : remoteTable(shown),
            ...shown.flatMap(troublesOf),
            ...local.flatMap(problemOf),
            ...unknown.map(({ id }) => `${id} is configured here, but ${remote.owner} owns none of this id at the server`),
            ...(hidden > 0 ? [`${hidden} more of ${remote.owner} on other hosts: \`hardshare list --all\``] : []),
          ].join("\n");
        });
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare list", "who uses your robots, and until when"],
        ["hardshare list --local", "what this host has, without a server"],
      ),
    );
};

const NONE_HERE = "this host has no deployment: `hardshare register` adds one";

/** Empty on a computer that is no host. */
async function readLocal({ environment }: CliContext): Promise<LocalDeployment[]> {
  const { localDeployments } = await import("@hardshare/host");
  return localDeployments({ home: environment.home }).catch((error: unknown) => {
    if (toAppError(error).code === "not_configured") return [];
    throw error;
  });
}

function localView({ id, owner, file, contract, problem }: LocalDeployment) {
  return { id, owner, contract: file, provider: contract?.provider ?? null, image: contract?.image ?? null, problem };
}

function localTable(local: readonly LocalDeployment[]): string {
  const rows = local.map(({ id, owner, contract, file }) => [id, owner ?? "", contract?.provider ?? "", file]);
  return [formatTable(["ID", "OWNER", "PROVIDER", "CONTRACT"], rows), ...local.flatMap(problemOf)].join("\n");
}

function problemOf({ id, problem }: LocalDeployment): string[] {
  return problem === null ? [] : [`${id} can't be offered: ${problem}`];
}

function remoteTable(deployments: readonly OwnedDeployment[]): string {
  return formatTable(
    ["ID", "STATE", "PROVIDER", "INSTANCE", "USER", "UNTIL", "DESCRIPTION"],
    deployments.map((it) => [
      it.id,
      stateOf(it),
      it.provider ?? "",
      it.instance?.id ?? "",
      it.instance?.user ?? "",
      it.instance?.expires ?? "",
      it.desc ?? "",
    ]),
  );
}

function stateOf({ dissolved, lockout, online, resting }: OwnedDeployment): string {
  if (dissolved !== null) return "dissolved";
  if (lockout) return "locked";
  if (!online) return "offline";
  return resting === undefined ? "online" : "resting";
}

function troublesOf({ id, lockout_info: lockout, dissolved_info: dissolution, resting, alerts }: OwnedDeployment): string[] {
  const lines = alerts.map((alert) => `${id}: ${alert.at} ${alert.message}`);
  if (resting !== undefined) lines.unshift(`${id}: resting ${describeRest(resting)}`);
  if (lockout !== undefined) {
    lines.unshift(`${id}: locked out by ${lockout.actor} at ${lockout.at}: ${lockout.reason} (\`hardshare unlock ${id}\` lifts it)`);
  }
  if (dissolution !== undefined) lines.unshift(`${id}: dissolved by ${dissolution.actor} at ${dissolution.at}: ${dissolution.reason}`);
  return lines;
}
