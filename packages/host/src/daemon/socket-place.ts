import { lstat, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { socketFolder } from "@hardshare/runtime";

/** Folder of the sockets of the daemon that works on a state folder: found from that folder's name alone. */
export function daemonSocketFolder(state: string): string {
  return socketFolder(state, { uid: process.geteuid?.() ?? 0 });
}

export function controlSocket(state: string): string {
  return join(daemonSocketFolder(state), "daemon.sock");
}

/** Makes the folder. @throws AppError `conflict` when others can change it, which in a shared folder such as /tmp they may try */
export async function makeSocketFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  for (const folder of [path, dirname(path)]) {
    const { uid, mode } = await lstat(folder);
    if (uid === (process.geteuid?.() ?? uid) && (mode & 0o022) === 0) continue;
    throw new AppError("conflict", `the folder ${folder} is not this user's alone; remove it`);
  }
}
