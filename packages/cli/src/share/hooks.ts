import type { HardshareClient } from "@hardshare/client";
import { type HooksView, type Parsed } from "@hardshare/protocol";
import { chooseOwnedDeployment } from "../ids/deployments.ts";
import { openAccess } from "../login/credentials.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

/** What may be changed of the hooks of a deployment; `-` takes all of a kind away. */
interface HookChanges {
  /** Addresses, separated by commas. */
  emails?: string | undefined;
  webhook?: string | undefined;
}

/** Changes where alerts of a deployment go. @returns what to tell: the secret of a new webhook, told only now, and warnings */
export async function changeHooks(
  client: HardshareClient,
  deploymentId: string,
  changes: HookChanges,
): Promise<{ secret?: string; warning?: string }> {
  const told: { secret?: string; warning?: string } = {};
  const { emails, webhook } = changes;
  if (emails !== undefined) {
    const addresses = emails === "-" ? [] : emails.split(",").map((address) => address.trim());
    Object.assign(told, await client.setEmailHooks(deploymentId, addresses));
  }
  if (webhook !== undefined) {
    const { secret } = await client.setWebhook(deploymentId, webhook === "-" ? null : webhook);
    if (secret !== null) told.secret = secret;
  }
  return told;
}

export const addHooks: AddVerb = (program, shell) => {
  program
    .command("hooks")
    .summary("show or change where alerts of a deployment go")
    .description(
      "Shows where alerts of a deployment go (a monitor that failed, a lock-out, an E-stop), or changes it. What is posted to a\n" +
        "webhook is signed with a secret that is shown once, when the webhook is set.",
    )
    .argument("[id]", "id of a deployment of yours, or its beginning; may be left out when you have one")
    .option("--emails <addresses>", "mail alerts to these addresses, separated by commas; - for none")
    .option("--webhook <url>", "post alerts to this URL; - for none")
    .action(
      runs(shell, async ({ context, options, output }, flags: HookChanges, id?: string) => {
        const { client } = await openAccess(context, options);
        const deployment = await chooseOwnedDeployment(client, id);
        const told = await changeHooks(client, deployment.id, flags);
        const hooks = await client.hooks(deployment.id);
        output.result({ deployment: deployment.id, ...hooks, ...told }, () => describeHooks(hooks, told.secret));
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare hooks", "where alerts go, and whether they arrive"],
        ["hardshare hooks 3f2a --emails olga@example.org,lab@example.org", "mail alerts to two people"],
        ["hardshare hooks 3f2a --webhook -", "post them nowhere"],
      ),
    );
};

function describeHooks({ webhook, emails, warning }: Parsed<typeof HooksView>, secret: string | undefined): string {
  const rows = [...(webhook === null ? [] : [{ kind: "webhook", ...webhook }]), ...emails.map((email) => ({ kind: "email", ...email }))];
  const lines =
    rows.length === 0
      ? ["alerts go nowhere but to `hardshare list` and `hardshare info`"]
      : [
          formatTable(
            ["HOOK", "TARGET", "DELIVERED", "PROBLEM"],
            rows.map(({ kind, target, delivered, problem }) => [kind, target, delivered ?? "", problem ?? ""]),
          ),
        ];
  if (secret !== undefined) lines.push(`secret of the webhook, shown only now: ${secret}`);
  if (warning !== undefined) lines.push(`warning: ${warning}`);
  return lines.join("\n");
}
