import { join } from "node:path";
import { makePrivateFolder, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { generateIdentity, type KeyPair, publicKeyOf } from "@hardshare/wire/ssh";

/** The two keys of a hub. */
export interface HubKeys {
  /** By which the server knows it. */
  identity: KeyPair;
  /** By which hosts and users know it. */
  sshHost: KeyPair;
}

/** Reads the keys in the hub's data folder; makes those that are missing. */
export async function loadHubKeys(dataFolder: string): Promise<HubKeys> {
  await makePrivateFolder(dataFolder);
  return {
    identity: await loadKey(join(dataFolder, "identity"), "hardshare hub"),
    sshHost: await loadKey(join(dataFolder, "ssh_host_key"), "hardshare hub ssh"),
  };
}

async function loadKey(path: string, comment: string): Promise<KeyPair> {
  const text = await readTextIfThere(path);
  if (text !== undefined) return { privateKey: text, publicKey: publicKeyOf(text, comment) };
  const pair = generateIdentity(comment);
  await writeFileDurably(path, pair.privateKey);
  await writeFileDurably(`${path}.pub`, `${pair.publicKey}\n`, 0o644);
  return pair;
}
