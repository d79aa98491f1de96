import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes a file whole or not at all: to a temporary name beside it, synced, then renamed; the folder is synced too,
 * so that the file survives loss of power.
 * @param mode permission bits, 0600 unless told otherwise
 */
export async function writeFileDurably(path: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  await replaceDurably(path, content, { mode });
}

/**
 * Replaces a file as `writeFileDurably` does, and keeps its permission bits and its owner; through a symbolic link, the
 * file that it names.
 * @param options.unless looked at last, right before the file is replaced: whether it is left as it is
 * @returns whether it was replaced
 */
export async function rewriteFileDurably(path: string, content: string, options: { unless: (now: string) => boolean }): Promise<boolean> {
  const file = await realpath(path);
  const { mode, uid, gid } = await stat(file);
  const mayReplace = async () => !options.unless(await readFile(file, "utf8"));
  return replaceDurably(file, content, { mode: mode & 0o7777, owner: { uid, gid }, mayReplace });
}

interface Replacement {
  mode: number;
  owner?: { uid: number; gid: number };
  mayReplace?: () => Promise<boolean>;
}

async function replaceDurably(path: string, content: string | Uint8Array, { mode, owner, mayReplace }: Replacement): Promise<boolean> {
  // Not a name that somebody else who may write there could have taken before.
  const temporary = `${path}.${randomUUID()}.new`;
  try {
    const file = await open(temporary, "wx", mode);
    try {
      if (owner !== undefined && (owner.uid !== process.geteuid?.() || owner.gid !== process.getegid?.())) {
        await file.chown(owner.uid, owner.gid);
      }
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    if (mayReplace !== undefined && !(await mayReplace())) {
      await rm(temporary, { force: true });
      return false;
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
  return true;
}

/** Makes a folder (and those above it) that only its owner can enter. */
export async function makePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

/** Removes folders that are empty, in this order; one that is not, or is not there, stays as it is. */
export async function removeEmptyFolders(...paths: string[]): Promise<void> {
  for (const path of paths) await rmdir(path).catch(() => {});
}

/** The file's text, or undefined when there is none. */
export async function readTextIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes what was created, renamed or removed in a folder survive loss of power. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
