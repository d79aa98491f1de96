import { resolve } from "node:path";
import { AppError, type InstanceView, type LaunchOptions, parseDurationSeconds } from "@hardshare/protocol";
import type { CliContext, Invocation } from "../context.ts";
import { chooseTypeOrDeployment } from "../ids/deployments.ts";
import { writeConnectionFiles } from "../launches/connection-files.ts";
import { LaunchFolders } from "../launches/launch-folder.ts";
import { type Access, openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { describeInstance } from "./describe-instance.ts";
import { followUntilEnded, followUntilReady } from "./follow.ts";

/** How long a launch that was interrupted is watched until it has ended. */
const CANCEL_WAIT_MS = 60_000;

interface LaunchFlags {
  for?: string;
  publicKey?: string;
  wait?: boolean;
  follow?: boolean;
}

export const addLaunch: AddVerb = (program, shell) => {
  program
    .command("launch")
    .summary("request an instance")
    .description(
      "Requests an instance of a deployment, or of any deployment of a type, and writes an ssh configuration file for it.\n" +
        "Without --public-key a new key is made; it stays on this computer and is removed with the instance.",
    )
    .argument("<id|type>", "a workspace type, or the id of a deployment or its beginning")
    .option("--for <duration>", "how long, such as 90s, 30m or 2h; otherwise the deployment's longest time")
    .option("--public-key <file>", "let in this key (a .pub file) instead of a new one")
    .option("--wait", "show the timeline until the instance is READY; Ctrl-C cancels the launch")
    .option("--follow", "like --wait, then go on showing what happens, such as decisions of filters, until it has ended; Ctrl-C stops that")
    .action(
      runs(shell, async (invocation, flags: LaunchFlags, target: string) => {
        const { context, options, output } = invocation;
        const durationS = flags.for === undefined ? undefined : readDuration(flags.for);
        const access = await openAccess(context, options);
        const folders = new LaunchFolders(context.environment.state);
        await folders.prune(context.clock.now());
        const wanted = await chooseTypeOrDeployment(access.client, target);
        const id = await requestInstance(context, { access, folders, wanted, durationS, publicKeyFile: flags.publicKey });
        if (flags.wait || flags.follow || context.interrupted.aborted) await waitOrCancel(invocation, access, folders, id);
        const view = await access.client.instance(id);
        const files = await writeConnectionFiles(view, { access, folders, selfCommand: context.selfCommand });
        output.result({ ...view, ssh_config: files.configFile }, () =>
          describeInstance(view, { nowMs: context.clock.now(), commandName: context.commandName, files }),
        );
        if (flags.follow !== true) return;
        await followUntilEnded(access.client, id, { output, signal: context.interrupted, from: "READY" }).catch((error: unknown) => {
          if (!context.interrupted.aborted) throw error;
          output.progress(`the instance goes on: \`hardshare terminate ${id}\` ends it`);
        });
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare launch sim_robot --for 30m --wait", "any robot of this type, for half an hour"],
        ["hardshare launch 3f2a --public-key ~/.ssh/id_ed25519.pub", "this deployment, with your own key"],
      ),
    );
};

function readDuration(text: string): number {
  const seconds = Math.ceil(parseDurationSeconds(text, "--for"));
  if (seconds > 0) return seconds;
  throw new AppError("bad_input", `--for: "${text}" is no time; expected more than 0 seconds, such as 30m`, { details: { field: "for" } });
}

async function requestInstance(
  context: CliContext,
  request: { access: Access; folders: LaunchFolders; wanted: string; durationS: number | undefined; publicKeyFile: string | undefined },
): Promise<InstanceView["id"]> {
  const { access, folders, wanted, durationS, publicKeyFile } = request;
  const prepared = await folders.prepare({
    uuid: context.random.uuid(),
    publicKeyFile: publicKeyFile === undefined ? undefined : resolve(publicKeyFile),
  });
  try {
    const launch: LaunchOptions = { sshkey: prepared.publicKey, ...(durationS === undefined ? {} : { expire_d: durationS }) };
    // Not cut off by Ctrl-C: only its answer tells what there is to cancel.
    const { id } = await access.client.launch(wanted, launch);
    await prepared.adopt(id);
    return id;
  } catch (error) {
    await prepared.discard();
    const isUnknown = error instanceof AppError && (error.code === "timed_out" || error.code === "connection_lost");
    if (!isUnknown) throw error;
    const message = `${error.message}; it may have been launched all the same: look with \`hardshare instances\`, and terminate it`;
    throw new AppError(error.code, message, { details: error.details, cause: error });
  }
}

/** Waits until READY; a launch that is interrupted is cancelled, so that Ctrl-C leaves nothing behind. */
async function waitOrCancel(invocation: Invocation, access: Access, folders: LaunchFolders, id: string): Promise<void> {
  const { context, output } = invocation;
  try {
    await followUntilReady(access.client, id, { output, signal: context.interrupted });
  } catch (error) {
    if (!context.interrupted.aborted) {
      if (error instanceof AppError && (error.code === "launch_failed" || error.code === "wrong_state")) await folders.remove(id);
      throw error;
    }
    output.progress(`cancelling the launch of ${id} (Ctrl-C again stops waiting for it)`);
    await access.client.terminate(id);
    await followUntilEnded(access.client, id, { output, signal: AbortSignal.timeout(CANCEL_WAIT_MS), from: "TERMINATING" });
    await folders.remove(id);
    throw new AppError("cancelled", `the launch was cancelled: instance ${id} has ended`, { details: { instance: id } });
  }
}
