import { chooseOwnedDeployment } from "../ids/deployments.ts";
import { openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

const ID_HELP = "id of a deployment of yours, or its beginning; may be left out when you have one";

export const addLock: AddVerb = (program, shell) => {
  program
    .command("lock")
    .summary("lock a deployment out: nobody can launch")
    .description("Locks a deployment out: no instance can be launched until it is unlocked. A running instance goes on.")
    .argument("[id]", ID_HELP)
    .option("--reason <text>", "why, shown to those who want to launch")
    .action(
      runs(shell, async ({ context, options, output }, flags: { reason?: string }, id?: string) => {
        const { client } = await openAccess(context, options);
        const deployment = await chooseOwnedDeployment(client, id);
        await client.lock(deployment.id, flags.reason);
        output.result({ deployment: deployment.id, locked: true }, () => `deployment ${deployment.id} is locked out`);
      }),
    )
    .addHelpText("after", examples(["hardshare lock 3f2a --reason 'gripper is loose'", "nobody launches until you unlock it"]));
};

export const addUnlock: AddVerb = (program, shell) => {
  program
    .command("unlock")
    .summary("lift a lock-out")
    .description("Lifts the lock-out of a deployment, also one that was set because something was left of the last instance: look first.")
    .argument("[id]", ID_HELP)
    .action(
      runs(shell, async ({ context, options, output }, _options, id?: string) => {
        const { client } = await openAccess(context, options);
        const deployment = await chooseOwnedDeployment(client, id);
        await client.unlock(deployment.id);
        output.result({ deployment: deployment.id, locked: false }, () => `deployment ${deployment.id} can be launched again`);
      }),
    )
    .addHelpText("after", examples(["hardshare unlock 3f2a", "offer it again"]));
};
