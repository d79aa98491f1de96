import { createInterface } from "node:readline/promises";
import { AppError, DeploymentId } from "@hardshare/protocol";
import type { CliContext } from "../context.ts";
import { chooseOwnedDeployment } from "../ids/deployments.ts";
import { openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

interface DissolveFlags {
  reason?: string;
  yes?: boolean;
  force?: boolean;
}

export const addDissolve: AddVerb = (program, shell) => {
  program
    .command("dissolve")
    .summary("take a deployment out of use for ever")
    .description(
      "Dissolves a deployment of yours: nobody can launch it any more, and its id is never used again. Its host stops offering\n" +
        "it, takes it out of its configuration, and keeps the contract aside. This cannot be undone; `lock` can.",
    )
    .argument("[id]", "id of a deployment of yours, or its beginning; may be left out when you have one")
    .option("--reason <text>", "why, kept with the deployment")
    .option("--force", "end a running instance")
    .option("--yes", "do not ask")
    .action(
      runs(shell, async ({ context, options, output }, flags: DissolveFlags, id?: string) => {
        const { client } = await openAccess(context, options);
        const deployment = await chooseOwnedDeployment(client, id);
        if (flags.yes !== true) await confirm(context, `dissolve ${deployment.id} (${deployment.desc ?? "no description"}) for ever?`);
        await client.dissolve(deployment.id, { reason: flags.reason, force: flags.force === true });
        const kept = await setAsideHere(context, DeploymentId.parse(deployment.id));
        output.result({ deployment: deployment.id, dissolved: true, contract: kept ?? null }, () =>
          [`deployment ${deployment.id} is dissolved`, ...(kept === undefined ? [] : [`its contract is kept as ${kept}`])].join("\n"),
        );
      }),
    )
    .addHelpText("after", examples(["hardshare dissolve 3f2a --reason 'the arm was sold'", "asks before it does so"]));
};

/** @throws AppError `cancelled` unless the person says yes, `bad_input` when there is nobody to ask */
async function confirm({ stdin, stderr, interrupted }: CliContext, question: string): Promise<void> {
  if ((stdin as { isTTY?: boolean }).isTTY !== true)
    throw new AppError("bad_input", "nobody can be asked here: add --yes to dissolve it for ever");
  const terminal = createInterface({ input: stdin, output: stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: interrupted });
    if (!/^y(es)?$/i.test(answer.trim())) throw new AppError("cancelled", "nothing was dissolved");
  } finally {
    terminal.close();
  }
}

/** On its own host, where no daemon runs that does it when the server tells it. @returns where the contract is kept */
async function setAsideHere({ environment: { home, state } }: CliContext, id: DeploymentId): Promise<string | undefined> {
  const host = await import("@hardshare/host");
  return (await host.deploymentsHere({ home, state })).includes(id) ? host.setAsideHere({ home, state, id }) : undefined;
}
