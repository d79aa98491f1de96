import { dirname, join } from "node:path";
import { AppError, type DeploymentId, NewDeploymentAnswer } from "@hardshare/protocol";
import { httpRequest, makePrivateFolder, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { registrationToSign, sendRegistration } from "@hardshare/wire/node";
import { sameKey, signWith } from "@hardshare/wire/ssh";
import { isSeq } from "yaml";
import { DEFAULT_CONTRACT } from "../contract/default-contract.ts";
import { parseContract } from "../contract/load-contract.ts";
import { writeSchemaFiles } from "../contract/schema-files.ts";
import { contractFile, editHostConfig, type HostConfig, readHostConfig } from "./host-config.ts";
import { readIdentity } from "./identity.ts";
import { initHost, isHost, undoInit } from "./init-host.ts";

export interface RegisterDeploymentOptions {
  /** `$HARDSHARE_HOME`. */
  home: string;
  /** Address of the server; may be left out when the configuration names it, and makes one when there is none. */
  server?: string | undefined;
  /** API token of the user who will own the deployment. */
  token: string;
  /** Id of one that was registered without a host, or that the new one gets; otherwise the server chooses. */
  id?: DeploymentId | undefined;
  /** Workspace type; the server's default is `user_provided`. */
  type?: string | undefined;
  desc?: string | undefined;
  /** Text of the contract file; a minimal one with comments unless told otherwise. With `id`, one that is there stays. */
  contract?: string | undefined;
  /** File that the text comes from, for messages. */
  contractName?: string | undefined;
  /** Name of this computer, for people. */
  name?: string | undefined;
  /** Allow a second deployment. */
  permitMore?: boolean | undefined;
}

export interface RegisteredDeployment {
  id: string;
  owner: string;
  /** Its contract file. */
  contract: string;
}

/**
 * Registers a new deployment of this host: the server pins the host's identity key, the host the server's. Does what
 * `initHost` does first where that is still to do, and undoes it when the registration fails.
 * @throws AppError `conflict` (a second one without `permitMore`, or another server), `identity_refused` (the server
 *   shows another key than the pinned one), `server_unreachable`, and what the server answers
 */
export async function registerDeployment(options: RegisterDeploymentOptions): Promise<RegisteredDeployment> {
  const { home, server } = options;
  parseContract(options.contract ?? DEFAULT_CONTRACT, options.contractName ?? "the given contract", home);
  if (server === undefined || (await isHost(home))) return addDeployment(options);
  await initHost({ home, server });
  try {
    return await addDeployment(options);
  } catch (error) {
    await undoInit(home);
    throw error;
  }
}

async function addDeployment(options: RegisterDeploymentOptions): Promise<RegisteredDeployment> {
  const { home } = options;
  const config = await readHostConfig(home);
  const server = serverOf(options, config);
  if (config.deployments.length > 0 && options.permitMore !== true) {
    throw new AppError(
      "conflict",
      `this host has a deployment already (${config.deployments[0]?.id}); to add another: \`hardshare register --permit-more\``,
    );
  }
  if (config.deployments.some(({ id }) => id === options.id)) {
    throw new AppError("conflict", `deployment ${options.id} is in the configuration of this host already`);
  }
  const isKept = await hasContract(options);
  const answer = await askServer(server, options, await readIdentity(home));
  if (options.id !== undefined && answer.id !== options.id) {
    throw new AppError("version_mismatch", `${server} is too old to keep an id: it registered ${answer.id} instead; upgrade the server`);
  }
  if (answer.host === undefined || answer.serverKey === undefined) {
    throw new AppError("version_mismatch", `${server} is too old for this host: it pins no host keys; upgrade the server`);
  }
  const { host, serverKey } = answer;
  if (config.server_key !== undefined && !sameKey(config.server_key, serverKey)) {
    throw new AppError(
      "identity_refused",
      `${server} shows another identity key than the one that was pinned; if it was set up anew on purpose, remove server_key from ${join(home, "config.yaml")}`,
    );
  }
  const path = contractFile(home, { id: answer.id });
  await makePrivateFolder(join(home, "deployments"));
  await writeSchemaFiles(home);
  if (!isKept) await writeFileDurably(path, options.contract ?? DEFAULT_CONTRACT);
  await editHostConfig(home, (document) => {
    document.set("server", server);
    document.set("server_key", serverKey);
    document.set("host", host);
    const entry = document.createNode({ id: answer.id, owner: answer.owner });
    const list = document.get("deployments");
    if (isSeq(list)) {
      list.flow = false;
      list.add(entry);
    } else document.set("deployments", [entry]);
  });
  return { id: answer.id, owner: answer.owner, contract: path };
}

/** Whether a deployment whose id is given has a contract here, as one has that was imported. */
async function hasContract({ home, id, contract }: RegisterDeploymentOptions): Promise<boolean> {
  if (id === undefined) return false;
  const path = contractFile(home, { id });
  const text = await readTextIfThere(path);
  if (text === undefined) return false;
  if (contract !== undefined) throw new AppError("conflict", `${path} is the contract of ${id} already: leave --contract out`);
  parseContract(text, path, dirname(path));
  return true;
}

function serverOf(options: RegisterDeploymentOptions, config: HostConfig): string {
  const server = (options.server ?? config.server)?.replace(/\/+$/, "");
  if (server === undefined) {
    throw new AppError("not_configured", "no server is known: give its address with --server https://…, or write it into config.yaml");
  }
  if (config.server !== undefined && server !== config.server && config.deployments.length > 0) {
    throw new AppError("conflict", `this host serves ${config.server}; for ${server} set up another folder with HARDSHARE_HOME`);
  }
  return server;
}

async function askServer(
  server: string,
  { id, token, name, type, desc }: RegisterDeploymentOptions,
  { privateKey, publicKey }: { privateKey: string; publicKey: string },
): Promise<ReturnType<typeof NewDeploymentAnswer.parse>> {
  const signature = signWith(privateKey, registrationToSign("host", publicKey, token));
  const body = { host: { key: publicKey, name: name ?? "", signature }, id, type, desc };
  return sendRegistration({ server, path: "/hardshare/register", token, body, answer: NewDeploymentAnswer, send: httpRequest });
}
