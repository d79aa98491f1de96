import type { HardshareClient } from "@hardshare/client";
import { type AccessRule, AppError, type DeploymentView, describeRest, type InstanceView, isFinalState } from "@hardshare/protocol";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { writeConnectionFiles } from "../launches/connection-files.ts";
import { LaunchFolders } from "../launches/launch-folder.ts";
import { openAccess } from "../login/credentials.ts";
import { formatFacts } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { describeInstance } from "./describe-instance.ts";
import { followToEnd } from "./follow.ts";

export const addInfo: AddVerb = (program, shell) => {
  program
    .command("info")
    .summary("show a deployment or an instance")
    .description("Shows a deployment (state, holder, access rules) or one of your instances (state, addresses, time left).")
    .argument("<id>", "id of a deployment or an instance, or its beginning")
    .option("--follow", "of an instance: show its timeline from the beginning, with what filters decide, until it has ended")
    .action(
      runs(shell, async ({ context, options, output }, flags: { follow?: boolean }, id: string) => {
        const access = await openAccess(context, options);
        const found = await chooseAny(access.client, id);
        if (flags.follow === true) {
          if (found.kind !== "instance") throw new AppError("bad_input", "--follow: expected an instance, not a deployment");
          await followToEnd(access.client, found.id, { output, signal: context.interrupted });
          return;
        }
        if (found.kind === "instance") {
          const view = await access.client.instance(found.id);
          const isLive = view.status === "INIT" || view.status === "READY";
          const folders = new LaunchFolders(context.environment.state);
          if (isFinalState(view.status)) await folders.remove(view.id);
          const files =
            isLive && found.isMine ? await writeConnectionFiles(view, { access, folders, selfCommand: context.selfCommand }) : undefined;
          output.result(view, () => describeInstance(view, { nowMs: context.clock.now(), commandName: context.commandName, files }));
          return;
        }
        const [view, rules, owned] = await Promise.all([
          access.client.deployment(found.id),
          access.client.accessRules(found.id),
          access.client.ownedDeployments(),
        ]);
        const alerts = owned.wdeployments.find(({ id }) => id === found.id)?.alerts ?? [];
        output.result({ ...view, rules, alerts }, () => describeDeployment(view, rules, alerts));
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare info 3f2a", "the deployment or instance whose id begins with 3f2a"],
        ["hardshare info 3f2a --follow", "what happens with the instance, and what its filters decide"],
      ),
    );
};

interface Found {
  kind: "deployment" | "instance";
  id: string;
  /** An instance that the caller uses. */
  isMine: boolean;
  ids: string[];
}

async function chooseAny(client: HardshareClient, text: string): Promise<Found> {
  const [deployments, instances] = await Promise.all([client.deployments(), client.instances({ includeEnded: true })]);
  const choices: Found[] = [
    ...deployments.workspace_deployments.map((id) => ({ kind: "deployment" as const, id, isMine: false, ids: [id] })),
    ...instances.map(({ id }) => ({ kind: "instance" as const, id, isMine: true, ids: [id] })),
  ];
  try {
    return chooseByPrefix(text, choices, {
      noun: "deployment or instance",
      whenNone: "`hardshare search` lists the deployments, `hardshare instances --all` your instances",
    });
  } catch (error) {
    // An instance of somebody else, which an owner may look at.
    const other = error instanceof AppError && error.code === "not_found" ? await findInstance(client, text) : undefined;
    if (other === undefined) throw error;
    return { kind: "instance", id: other.id, isMine: false, ids: [other.id] };
  }
}

async function findInstance(client: HardshareClient, id: string): Promise<InstanceView | undefined> {
  return client.instance(id).catch(() => undefined);
}

function describeDeployment(
  view: DeploymentView,
  rules: readonly AccessRule[],
  alerts: readonly { at: string; message: string }[],
): string {
  const { holder, lockout_info: lockout } = view;
  return formatFacts([
    ["deployment", view.id],
    ["type", view.type],
    ["description", view.desc ?? undefined],
    ["owner", view.owner],
    ["provider", view.provider ?? undefined],
    ["host", view.online ? "online" : "offline"],
    [
      "locked out",
      lockout === undefined
        ? view.lockout && "yes"
        : `${lockout.reason} (by ${lockout.actor}, ${lockout.at} UTC; \`hardshare unlock\` lifts it)`,
    ],
    ["dissolved", view.dissolved === undefined ? undefined : `${view.dissolved} UTC`],
    ["resting", view.resting === undefined ? undefined : describeRest(view.resting)],
    ["held by", holder === null ? "nobody" : `${holder.user ?? "somebody"} until ${holder.expires} UTC`],
    ["your instance", view.instance],
    ...alerts.map((alert) => ["alert", `${alert.at} UTC ${alert.message}`] as const),
    ...rules.map((rule) => ["access rule", `${rule.capability === "CAP_INSTANTIATE" ? "permits" : "forbids"} ${rule.user}`] as const),
  ]);
}
