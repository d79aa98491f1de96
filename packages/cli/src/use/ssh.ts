import { spawn } from "node:child_process";
import { AppError, type InstanceView } from "@hardshare/protocol";
import type { CliContext, Invocation } from "../context.ts";
import { chooseInstance } from "../ids/instances.ts";
import { hasSshServer, writeConnectionFiles } from "../launches/connection-files.ts";
import { LaunchFolders } from "../launches/launch-folder.ts";
import { WEB_SUFFIX } from "../launches/ssh-config.ts";
import { type Access, openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { followUntilReady } from "./follow.ts";
import { beHeard } from "./heartbeats.ts";

/** What `hardshare ssh`, like ssh itself, ends with for failures that are not the remote command's. */
export const SSH_FAILED = 255;

export const addSsh: AddVerb = (program, shell) => {
  program
    .command("ssh")
    .summary("open a shell or run a command in an instance")
    .description(
      "Opens a shell in an instance, or runs a command, with this computer's ssh through the server's port.\n" +
        "Ends with the remote command's exit code, and with 255 for any failure of ours.",
    )
    .argument("[id]", "id of an instance or its deployment, or its beginning; may be left out when you have one instance")
    .argument("[command...]", "after --: the command to run instead of a shell")
    .action(
      runs(shell, async (invocation, _options, ...received: [id: string | undefined, command: string[]]) => {
        const [id, command] = splitArguments(received, invocation.context.args);
        try {
          const access = await openAccess(invocation.context, invocation.options);
          const ready = await reachReady(invocation, access, id);
          const words = [
            "-F",
            ready.configFile,
            `${ready.view.deployment}${WEB_SUFFIX}`,
            ...(command.length === 0 ? [] : ["--", ...command]),
          ];
          await using _heard = beHeard(invocation, access, ready.view);
          return await runSsh(invocation.context, access, words);
        } catch (error) {
          invocation.tell(error, { namesCode: true });
          return SSH_FAILED;
        }
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare ssh", "a shell in your only instance"],
        ["hardshare ssh 3f2a -- hostname", "run a command in the instance whose id begins with 3f2a"],
      ),
    );
};

/** The instance with its ssh configuration file, once it is READY. */
export async function reachReady(
  invocation: Invocation,
  access: Access,
  id: string | undefined,
): Promise<{ view: InstanceView; configFile: string }> {
  const { context, output } = invocation;
  let view = await chooseInstance(access.client, id);
  if (!hasSshServer(view)) {
    throw new AppError(
      "wrong_state",
      `instance ${view.id} is of a proxy deployment, which has no SSH server: use \`hardshare forward ${view.id}\``,
    );
  }
  if (view.status === "INIT") {
    output.progress(`waiting until instance ${view.id} is READY`);
    await followUntilReady(access.client, view.id, { output, signal: context.interrupted });
    view = await access.client.instance(view.id);
  }
  if (view.status !== "READY") {
    throw new AppError(
      "wrong_state",
      `instance ${view.id} is ${view.status}; launch another one with \`hardshare launch ${view.deployment}\``,
    );
  }
  const folders = new LaunchFolders(context.environment.state);
  const { configFile } = await writeConnectionFiles(view, { access, folders, selfCommand: context.selfCommand });
  return { view, configFile };
}

/** Runs the system's ssh on our own terminal. @returns its exit code @throws AppError `program_failed` when there is none */
async function runSsh(context: CliContext, access: Access, args: readonly string[]): Promise<number> {
  const child = spawn("ssh", args, { stdio: "inherit", env: variablesForSsh(context, access) });
  // Ctrl-C reaches ssh through the terminal too; a signal that was sent to us alone must reach it from here.
  const end = () => child.kill("SIGTERM");
  context.interrupted.addEventListener("abort", end, { once: true });
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) => reject(sshMissing(error)));
      child.once("exit", (code) => resolve(code ?? SSH_FAILED));
    });
  } finally {
    context.interrupted.removeEventListener("abort", end);
  }
}

/** What ssh inherits: a token that lies in no file reaches the ProxyCommand through it. */
export function variablesForSsh({ environment }: CliContext, access: Access): Record<string, string | undefined> {
  return access.tokenFile === undefined ? { ...environment.variables, HARDSHARE_TOKEN: access.token } : environment.variables;
}

/** Why the system's ssh could not be started. */
export function sshMissing(error: NodeJS.ErrnoException): AppError {
  return new AppError(
    "program_failed",
    `can't start ssh (${error.code ?? error.message}): install it with \`apt install openssh-client\``,
    {
      cause: error,
    },
  );
}

/** `ssh -- COMMAND` leaves the id out, which the position of `--` alone tells. */
function splitArguments([id, command]: [string | undefined, string[]], args: readonly string[]): [string | undefined, string[]] {
  const dashes = args.indexOf("--");
  const afterDashes = dashes < 0 ? undefined : args.slice(dashes + 1);
  if (id !== undefined && afterDashes !== undefined && afterDashes.length === command.length + 1) return [undefined, [id, ...command]];
  return [id, command];
}
