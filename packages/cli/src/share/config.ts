import { hostname } from "node:os";
import type { RequestedChanges } from "@hardshare/host";
import { AppError, DeploymentId, parseWith } from "@hardshare/protocol";
import type { Invocation } from "../context.ts";
import { chooseOwnedDeployment } from "../ids/deployments.ts";
import { openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { changeContract, describeChange } from "./change-contract.ts";
import { addToken, pruneTokens } from "./config-tokens.ts";
import { changeHooks } from "./hooks.ts";

interface ConfigFlags extends RequestedChanges {
  addToken?: string;
  prune?: boolean;
  addSshPath?: string;
  declare?: string;
  hookEmails?: string;
}

/** Flags that change the contract file. */
const CONTRACT_FLAGS = [
  "cprovider",
  "assignImage",
  "assignProxyCommand",
  "addRawDevice",
  "rmRawDevice",
  "addTerminateProg",
  "rmTerminateProg",
  "addInitInside",
  "rmInitInside",
  "monitorProg",
  "addEnv",
  "rmEnv",
  "addService",
  "rmService",
] as const satisfies readonly (keyof RequestedChanges)[];

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

export const addConfig: AddVerb = (program, shell) => {
  program
    .command("config")
    .summary("change this host's configuration and contracts")
    .description(
      "Changes the contract file of a deployment of this host; comments, order and style in it stay. A change that would make it\n" +
        "invalid is refused, and nothing is written. A running host daemon is told: the contract holds for the next instance.\n" +
        "All changes of a contract by one call are made together or not at all. Relative paths count from the current folder.\n" +
        "A command that takes a shell (pipes, quotes, variables) is written into a script beside the contract.",
    )
    .argument("[id]", "id of a deployment of this host, or its beginning; may be left out when there is one")
    .option("--cprovider <name>", "what runs containers: podman, docker, docker-rootless; or proxy (image and services stay)")
    .option("--assign-image <image>", "the image of instances; it must be on this computer")
    .option("--assign-proxy-command <command>", "what a proxy deployment leads to: rrhttp [--config FILE] HOST:PORT, or a program")
    .option("--add-raw-device <path>", "give instances this device file, unfiltered; may be repeated", collect)
    .option("--rm-raw-device <path>", "give it no more", collect)
    .option(
      "--add-terminate-prog <command>",
      "run this on the host after each instance; when it fails, the deployment is locked out",
      collect,
    )
    .option("--rm-terminate-prog <command>", "run it no more (a script of it stays: an instance may need it)", collect)
    .option("--add-init-inside <command>", "run this in the container first; a program of this computer is copied in", collect)
    .option("--rm-init-inside <command>", "run it no more", collect)
    .option("--monitor-prog <command>", "the program that looks whether the device is well; - for none")
    .option("--add-env <name=value>", "set a variable in the container; may be repeated", collect)
    .option("--rm-env <name>", "set it no more", collect)
    .option(
      "--add-service <name=command>",
      "a program on the host that instances talk to: host:port is in $NAME; rrhttp, rrserial: our filters",
      collect,
    )
    .option("--rm-service <name>", "offer it no more", collect)
    .option("--hook-emails <addresses>", "mail alerts to these addresses, separated by commas; - for none (see `hardshare hooks`)")
    .option("--declare <id>", "offer a deployment of yours here that is registered, and that no other host offers (whole id)")
    .option("--add-token <file>", "keep a copy of an API token, once the server has said that it is good; the login when there is none")
    .option("-p, --prune", "remove tokens that have expired or that the server refuses")
    .option("--add-ssh-path <file>", "not here: tunnels use the identity key that `hardshare init` made and the server knows")
    .action(
      runs(shell, async (invocation, flags: ConfigFlags, id?: string) => {
        const { output } = invocation;
        const requested = CONTRACT_FLAGS.some((flag) => flags[flag] !== undefined);
        if (flags.addSshPath !== undefined) refuseKey(invocation);
        const { addToken: token, prune, declare: declaredId, hookEmails } = flags;
        if (!requested && [token, prune, declaredId, hookEmails].every((flag) => flag === undefined)) {
          throw new AppError("bad_input", "config needs something to change: `hardshare config --help` lists the flags");
        }
        const result: Record<string, unknown> = {};
        const told: string[] = [];
        let exitCode = 0;
        if (flags.addToken !== undefined) {
          const added = await addToken(invocation, flags.addToken);
          result["token"] = added;
          told.push(`a copy of the token of ${added.user}${added.org === null ? "" : ` for ${added.org}`} is in ${added.file}`);
        }
        if (flags.prune === true) {
          const { removed, unasked } = await pruneTokens(invocation);
          result["removed"] = removed;
          told.push(...removed.map(({ file, problem }) => `removed ${file}: ${problem}`));
          if (removed.length === 0) told.push("no token had to be removed");
          if (unasked.length > 0) told.push(`the server could not be asked about ${unasked.join(", ")}`);
        }
        if (flags.declare !== undefined) {
          const declared = await declare(invocation, flags.declare);
          result["declared"] = declared;
          told.push(`deployment ${declared.id} is one of this host now; its contract is ${declared.contract}`);
        }
        if (requested) {
          const changed = await changeContract(invocation, id ?? flags.declare, flags);
          Object.assign(result, changed);
          told.push(describeChange(changed));
          exitCode = changed.exitCode;
        }
        if (hookEmails !== undefined) {
          const { client } = await openAccess(invocation.context, invocation.options);
          const { id: deployment } = await chooseOwnedDeployment(client, id ?? flags.declare);
          const { warning } = await changeHooks(client, deployment, { emails: hookEmails });
          Object.assign(result, { hooks: { deployment, emails: hookEmails, ...(warning === undefined ? {} : { warning }) } });
          told.push(hookEmails === "-" ? `alerts of ${deployment} are mailed to nobody` : `alerts of ${deployment} go to ${hookEmails}`);
          if (warning !== undefined) told.push(`warning: ${warning}`);
        }
        output.result(result, () => told.join("\n"));
        return exitCode;
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare config --add-terminate-prog ./stop.sh --add-env MODE=safe", "two changes of the only contract"],
        ["hardshare config 3f2a --cprovider proxy --assign-proxy-command 'rrhttp 192.168.1.134:80'", "no container: a filter"],
        ["hardshare config --add-raw-device /dev/ttyACM0", "give instances a device file"],
      ),
    );
};

/** Takes a deployment over that is registered at the server, and that no host offers. */
async function declare({ context, options }: Invocation, text: string): Promise<{ id: string; owner: string; contract: string }> {
  const id = parseWith(DeploymentId, text.toLowerCase(), "--declare");
  const { client, url, token } = await openAccess(context, options);
  await chooseOwnedDeployment(client, id);
  const { registerDeployment } = await import("@hardshare/host");
  const { home } = context.environment;
  return registerDeployment({ home, server: url, token, id, name: hostname(), permitMore: true });
}

function refuseKey({ context }: Invocation): never {
  throw new AppError(
    "bad_input",
    `--add-ssh-path: this host's tunnels use its identity key, ${context.environment.home}/identity, which the server pinned when the ` +
      "first deployment was registered; it can't be another one. SSH keys of users come with their instances",
    { details: { field: "add-ssh-path" } },
  );
}
