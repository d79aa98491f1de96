import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { makePrivateFolder } from "@hardshare/runtime";

/** Instances whose taps are kept; beyond them the oldest are removed. */
const KEPT_INSTANCES = 10;

function tapsFolder(state: string): string {
  return join(state, "taps");
}

/** Where the taps of an instance are written. */
export function tapFolder(state: string, instanceId: string): string {
  return join(tapsFolder(state), instanceId);
}

/** Ids of the instances whose taps are kept, the newest first. */
export async function tappedInstances(state: string): Promise<string[]> {
  const names = await readdir(tapsFolder(state)).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(tapFolder(state, name)).catch(() => undefined))?.birthtimeMs ?? 0 })),
  );
  return found.toSorted((a, b) => b.at - a.at).map(({ name }) => name);
}

/** Makes the folder for the taps of an instance, and room for it. */
export async function makeTapFolder(state: string, instanceId: string): Promise<string> {
  const others = (await tappedInstances(state)).filter((id) => id !== instanceId);
  for (const id of others.slice(KEPT_INSTANCES - 1)) await rm(tapFolder(state, id), { recursive: true, force: true });
  const folder = tapFolder(state, instanceId);
  await makePrivateFolder(folder);
  return folder;
}
