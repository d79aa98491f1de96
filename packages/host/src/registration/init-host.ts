import { rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { makePrivateFolder, parseYamlWith, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { fingerprintOf, generateIdentity } from "@hardshare/wire/ssh";
import { configFile, HostConfig, identityFile } from "./host-config.ts";

export interface InitHostOptions {
  /** `$HARDSHARE_HOME`. */
  home: string;
  server?: string | undefined;
}

/**
 * Makes the configuration of this host and its identity key.
 * @throws AppError `conflict` when there is one already, `config_invalid` when `server` is no address
 */
export async function initHost(options: InitHostOptions): Promise<{ publicKey: string; fingerprint: string }> {
  const { home, server } = options;
  for (const path of [configFile(home), identityFile(home)]) {
    if ((await readTextIfThere(path)) !== undefined) {
      throw new AppError(
        "conflict",
        `this computer is already set up as a host: ${path} is there; \`hardshare register\` adds a deployment`,
      );
    }
  }
  const text = initialConfig(server);
  parseYamlWith(HostConfig, text, configFile(home));
  for (const folder of [home, join(home, "tokens"), join(home, "deployments")]) await makePrivateFolder(folder);
  const identity = generateIdentity("hardshare host");
  await writeFileDurably(`${identityFile(home)}.pub`, `${identity.publicKey}\n`, 0o644);
  await writeFileDurably(identityFile(home), identity.privateKey);
  await writeFileDurably(configFile(home), text);
  return { publicKey: identity.publicKey, fingerprint: fingerprintOf(identity.publicKey) };
}

/** Whether `init` was done here. */
export async function isHost(home: string): Promise<boolean> {
  return (await readTextIfThere(configFile(home))) !== undefined;
}

/** Removes what `initHost` made, as long as nothing else uses it. */
export async function undoInit(home: string): Promise<void> {
  for (const path of [configFile(home), identityFile(home), `${identityFile(home)}.pub`]) await rm(path, { force: true });
}

function initialConfig(server: string | undefined): string {
  const address =
    server === undefined ? "# server: https://robots.example.org   # whom this host serves" : `server: ${JSON.stringify(server)}`;
  return `# Configuration of this hardshare host. \`hardshare register\` adds deployments; their contracts lie in deployments/.\n${address}\ndeployments: []\n`;
}
