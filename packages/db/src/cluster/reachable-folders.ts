import { chmod, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { AppError } from "@hardshare/protocol";
import { makePrivateFolder, runProgram } from "@hardshare/runtime";
import type { ServiceUser } from "./service-user.ts";

/** Others may pass through, but neither list nor write. */
const PASSABLE = 0o711;

/**
 * Makes a folder of ours, and those above it: for ourselves alone, or, when PostgreSQL runs as another user, such that
 * it can pass through; what is inside guards itself then.
 */
export async function makeReachableFolder(path: string, user: ServiceUser | null): Promise<void> {
  if (user === null) return await makePrivateFolder(path);
  const firstMade = await mkdir(path, { recursive: true });
  if (firstMade !== undefined) {
    for (let folder = path; folder.length >= firstMade.length; folder = dirname(folder)) await chmod(folder, PASSABLE);
    return;
  }
  const { mode } = await stat(path);
  if ((mode & 0o001) === 0) await chmod(path, (mode & 0o777) | 0o011);
}

/**
 * Checks that a user can go down to a folder.
 * @throws AppError `config_invalid` that names the folder that blocks
 */
export async function checkReachable(path: string, user: ServiceUser | null): Promise<void> {
  if (user === null) return;
  const folders: string[] = [];
  for (let folder = path; ; folder = dirname(folder)) {
    folders.unshift(folder);
    if (folder === dirname(folder)) break;
  }
  const script = 'for folder; do [ -x "$folder" ] || { printf %s "$folder"; exit 1; }; done';
  const result = await runProgram("/bin/sh", ["-c", script, "sh", ...folders], { cwd: "/", uid: user.uid, gid: user.gid });
  if (result.exitCode === 0) return;
  throw new AppError(
    "config_invalid",
    `PostgreSQL runs as user ${user.name}, which can't reach ${path}, because ${result.stdout} is closed to it. Choose a folder elsewhere, such as one below /var/lib/hardshare (--data-dir), or open it with: chmod o+x ${result.stdout}`,
    { details: { folder: result.stdout, user: user.name } },
  );
}
