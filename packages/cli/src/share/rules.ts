import type { HardshareClient } from "@hardshare/client";
import { AccessRuleUser, AppError, type Capability, parseWith } from "@hardshare/protocol";
import { chooseOwnedDeployment } from "../ids/deployments.ts";
import { confirm } from "../output/confirm.ts";
import { openAccess } from "../login/credentials.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

interface RulesFlags {
  list?: boolean;
  permit?: string[];
  forbid?: string[];
  permitMe?: boolean;
  permitAll?: boolean;
  dropAll?: boolean;
  yes?: boolean;
}

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

export const addRules: AddVerb = (program, shell) => {
  program
    .command("rules")
    .summary("show or change who may launch instances")
    .description("Shows or changes the access rules of a deployment. Without any access rule only its owner may launch instances.")
    .argument("[id]", "id of a deployment of yours, or its beginning; may be left out when you have one")
    .option("-l, --list", "show the access rules (also done after a change)")
    .option("--permit <user>", "let this user launch instances; may be repeated", collect)
    .option("--forbid <user>", "don't let this user, whatever the other access rules say; may be repeated", collect)
    .option("--permit-me", "let yourself, also where others are meant to be forbidden")
    .option("--permit-all", "let everybody with an account; asks before (y/N)")
    .option("--yes", "don't ask before everybody is let in")
    .option("--drop-all", "remove all access rules first")
    .action(
      runs(shell, async (invocation, flags: RulesFlags, id?: string) => {
        const { context, options, output } = invocation;
        const wanted = wantedRules(flags);
        const { client } = await openAccess(context, options);
        const deployment = await chooseOwnedDeployment(client, id);
        if (flags.permitAll && !flags.yes) await confirm(invocation, `let everybody with an account launch instances of ${deployment.id}?`);
        if (flags.dropAll) await dropAll(client, deployment.id);
        if (flags.permitMe) wanted.push({ cap: "CAP_INSTANTIATE", user: (await client.whoami()).user });
        for (const rule of wanted) await client.addAccessRule(deployment.id, rule);
        const rules = await client.accessRules(deployment.id);
        output.result({ deployment: deployment.id, rules }, () =>
          rules.length === 0
            ? "no access rules: only the owner may launch instances"
            : formatTable(
                ["RULE", "USER", "MAY LAUNCH", "SINCE"],
                rules.map((rule) => [String(rule.id), rule.user, rule.capability === "CAP_INSTANTIATE" ? "yes" : "no", rule.date_created]),
              ),
        );
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare rules --permit ada", "let ada launch instances on your only deployment"],
        ["hardshare rules 3f2a -l", "show the access rules of 3f2a"],
      ),
    );
};

/** @throws AppError `bad_input` before anything is changed */
function wantedRules(flags: RulesFlags): { cap: Capability; user: string }[] {
  const permitted = [...(flags.permit ?? []).map((user) => parseWith(AccessRuleUser, user, "--permit")), ...(flags.permitAll ? ["*"] : [])];
  const forbidden = (flags.forbid ?? []).map((user) => parseWith(AccessRuleUser, user, "--forbid"));
  const both = permitted.find((user) => forbidden.includes(user));
  if (both !== undefined) throw new AppError("bad_input", `--permit and --forbid both name ${both}: decide for one of them`);
  return [
    ...permitted.map((user) => ({ cap: "CAP_INSTANTIATE" as const, user })),
    ...forbidden.map((user) => ({ cap: "CAP_NO_INSTANTIATE" as const, user })),
  ];
}

async function dropAll(client: HardshareClient, deploymentId: string): Promise<void> {
  for (const rule of await client.accessRules(deploymentId)) await client.deleteAccessRule(deploymentId, rule.id);
}
