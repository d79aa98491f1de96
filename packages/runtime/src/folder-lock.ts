import { link, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { makePrivateFolder } from "./files.ts";

export interface FolderLockOptions {
  folder: string;
  /** Name of the lock in it. */
  name: string;
  /** Who holds such a lock, for the message: `another hardshare up`. */
  holder: string;
}

/**
 * Holds a folder for this process until disposed, so that no second one works on it. The lock names the process by its
 * id and start time: one that is left over from a process that is gone (or from before a reboot) is taken over. It is a
 * symbolic link, which appears whole and which file systems keep without a block of its own: a full disk does not keep
 * the programs from starting that have to make the hardware safe.
 * @throws AppError `conflict` that names the process which holds it (`details.pid`)
 */
export async function lockFolder(options: FolderLockOptions): Promise<AsyncDisposable> {
  await makePrivateFolder(options.folder);
  const path = join(options.folder, options.name);
  const content = `${process.pid} ${await startTimeOf(process.pid)}`;
  while (!(await isMade(symlink(content, path)))) await clearStale(path, options);
  return {
    async [Symbol.asyncDispose]() {
      if ((await readLock(path)) === content) await rm(path, { force: true });
    },
  };
}

/** The process that holds a folder; undefined when none does. */
export async function holderOfFolder({ folder, name }: Pick<FolderLockOptions, "folder" | "name">): Promise<number | undefined> {
  const [pid = "", startTime = ""] = ((await readLock(join(folder, name))) ?? "").split(" ");
  return startTime !== "" && (await startTimeOf(Number(pid))) === startTime ? Number(pid) : undefined;
}

/** @returns false when there is something by that name already */
async function isMade(making: Promise<void>): Promise<boolean> {
  try {
    await making;
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** @returns what a lock says; "" for what is none, undefined for nothing */
async function readLock(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "EINVAL") return "";
    throw error;
  }
}

/** Removes the lock of a process that is gone; throws when it lives. */
async function clearStale(path: string, { folder, holder }: FolderLockOptions): Promise<void> {
  const content = await readLock(path);
  if (content === undefined) return;
  const [pid = "", startTime = ""] = content.split(" ");
  if (startTime !== "" && (await startTimeOf(Number(pid))) === startTime) {
    throw new AppError("conflict", `${holder} (process ${pid}) already works on ${folder}; end it first, or use another folder`, {
      details: { pid: Number(pid), folder },
    });
  }
  // Moved away rather than removed: when somebody else took it over meanwhile, it is put back.
  const moved = `${path}.stale.${process.pid}`;
  await rename(path, moved).catch((error: unknown) => {
    // Somebody else was faster. Anything else, such as a disk that is read only, would be so at every attempt.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  });
  if ((await readLock(moved)) !== content) await link(moved, path).catch(() => {});
  await rm(moved, { force: true });
}

/** Boot id and start time in clock ticks after boot (proc(5), field 22), or undefined when there is no such process. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const [stat, boot] = await Promise.all([readFile(`/proc/${pid}/stat`, "utf8"), readFile("/proc/sys/kernel/random/boot_id", "utf8")]);
    // The name in parentheses may hold blanks and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const isGone = fields[0] === "Z" || fields[0] === "X"; // ended, but not yet waited for by its parent
    return isGone ? undefined : `${boot.trim()}:${fields[19]}`;
  } catch {
    return undefined;
  }
}
