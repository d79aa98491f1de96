import type { HardshareClient } from "@hardshare/client";
import { FirewallAction, parseWith } from "@hardshare/protocol";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { openAccess } from "../login/credentials.ts";
import type { Output } from "../output/output.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

const ID_HELP = "id of an instance or its deployment, or its beginning; may be left out when there is one";

export const addFirewall: AddVerb = (program, shell) => {
  const firewall = program
    .command("firewall")
    .summary("say which addresses may reach an instance's public port")
    .description(
      "Firewall rules for the public port of an instance: the first that matches decides. Until the first one is added every\n" +
        "address may connect; from then on what matches none is dropped, also after `flush`.",
    );
  firewall
    .command("list")
    .description("show the firewall rules of an instance")
    .argument("[id]", ID_HELP)
    .action(
      runs(shell, async ({ context, options, output }, _options, id?: string) => {
        const { client } = await openAccess(context, options);
        await showRules(client, await chooseReachable(client, id), output);
      }),
    );
  firewall
    .command("add")
    .description("add a firewall rule; from then on what matches none is dropped")
    .argument("[id]", ID_HELP)
    .option("--source <address>", "an address or a subnet such as 192.0.2.0/24; otherwise your own address")
    .option("--action <action>", "ACCEPT, DROP or REJECT", "ACCEPT")
    .action(
      runs(shell, async ({ context, options, output }, flags: { source?: string; action: string }, id?: string) => {
        const action = parseWith(FirewallAction, flags.action.toUpperCase(), "--action");
        const { client } = await openAccess(context, options);
        const instance = await chooseReachable(client, id);
        await client.addFirewallRule(instance, { action, ...(flags.source === undefined ? {} : { src: flags.source }) });
        await showRules(client, instance, output);
      }),
    )
    .addHelpText("after", examples(["hardshare firewall add --source 192.0.2.0/24", "let this subnet in, and no one else"]));
  firewall
    .command("flush")
    .description("remove all firewall rules: then nobody may connect until a rule says so")
    .argument("[id]", ID_HELP)
    .action(
      runs(shell, async ({ context, options, output }, _options, id?: string) => {
        const { client } = await openAccess(context, options);
        const instance = await chooseReachable(client, id);
        await client.flushFirewall(instance);
        await showRules(client, instance, output);
      }),
    );
};

/** An instance of the caller, or one on a deployment of the caller. */
async function chooseReachable(client: HardshareClient, text: string | undefined): Promise<string> {
  const [mine, owned] = await Promise.all([client.instances(), client.ownedDeployments()]);
  const reachable = new Map(mine.map(({ id, deployment }) => [id, [id, deployment]]));
  for (const { id, instance } of owned.wdeployments) {
    if (instance !== null) reachable.set(instance.id, [instance.id, id]);
  }
  const choices = [...reachable].map(([instance, ids]) => ({ instance, ids }));
  return chooseByPrefix(text, choices, { noun: "instance", whenNone: "`hardshare instances` lists yours" }).instance;
}

async function showRules(client: HardshareClient, instance: string, output: Output): Promise<void> {
  const rules = await client.firewallRules(instance);
  output.result({ instance, rules }, () => {
    if (rules === null) return "never configured: every address may connect";
    if (rules.length === 0) return "no rules: nobody may connect";
    return formatTable(
      ["", "SOURCE", "ACTION"],
      [...rules.map((rule, index) => [String(index + 1), rule.source, rule.action]), ["", "everything else", "DROP"]],
    );
  });
}
