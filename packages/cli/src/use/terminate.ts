import { AppError, UUID_PATTERN } from "@hardshare/protocol";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { LaunchFolders } from "../launches/launch-folder.ts";
import { type Access, openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { followUntilEnded } from "./follow.ts";

interface Target {
  instance: string;
  /** The caller uses it; otherwise the caller owns the deployment. */
  isUser: boolean;
  ids: string[];
}

export const addTerminate: AddVerb = (program, shell) => {
  program
    .command("terminate")
    .summary("end an instance")
    .description(
      "Ends one of your instances; during INIT this cancels the launch. On a deployment that you own it ends anybody's instance.\n" +
        "Waits until it has ended and nothing of it is left.",
    )
    .argument("[id]", "id of an instance or its deployment, or its beginning; may be left out when you have one instance")
    .option("--no-wait", "return at once")
    .option("--owner", "as owner: choose among the instances on your deployments only")
    .action(
      runs(shell, async ({ context, options, output }, flags: { wait: boolean; owner?: boolean }, id?: string) => {
        const access = await openAccess(context, options);
        const target = await chooseTarget(access, id, flags.owner === true);
        if (target.isUser) await access.client.terminate(target.instance);
        else await access.client.forceTerminate(target.instance);
        let status = "TERMINATING";
        if (flags.wait) {
          status = await followUntilEnded(access.client, target.instance, { output, signal: context.interrupted, from: "TERMINATING" });
          await new LaunchFolders(context.environment.state).remove(target.instance);
        }
        output.result({ instance: target.instance, status }, () =>
          flags.wait ? `instance ${target.instance} has ended` : `instance ${target.instance} is ending`,
        );
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare terminate", "end your only instance"], ["hardshare terminate 3f2a --owner", "take your deployment 3f2a back"]),
    );
};

async function chooseTarget(access: Access, text: string | undefined, isOwnerOnly: boolean): Promise<Target> {
  const { client } = access;
  const mine: Target[] = isOwnerOnly
    ? []
    : (await client.instances()).map(({ id, deployment }) => ({ instance: id, isUser: true, ids: [id, deployment] }));
  const words = { noun: "instance", whenNone: "`hardshare instances` lists yours, `hardshare list` those on your deployments" };
  if (text === undefined && !isOwnerOnly) return chooseByPrefix(text, mine, words);
  const others = (await client.ownedDeployments()).wdeployments.flatMap(({ id, instance }): Target[] =>
    instance === null || mine.some((own) => own.instance === instance.id)
      ? []
      : [{ instance: instance.id, isUser: false, ids: [instance.id, id] }],
  );
  try {
    return chooseByPrefix(text, [...mine, ...others], words);
  } catch (error) {
    // A whole id that is in no list (it has ended, or is another's): the server says what is the matter with it.
    const isWholeId = text !== undefined && UUID_PATTERN.test(text) && error instanceof AppError && error.code === "not_found";
    if (isWholeId) return { instance: text, isUser: !isOwnerOnly, ids: [text] };
    throw error;
  }
}
