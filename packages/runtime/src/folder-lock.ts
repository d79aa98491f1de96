import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { makePrivateFolder, readTextIfThere } from "./files.ts";

export interface FolderLockOptions {
  folder: string;
  /** Name of the lock file in it. */
  name: string;
  /** Who holds such a lock, for the message: `another hardshare up`. */
  holder: string;
}

/**
 * Holds a folder for this process until disposed, so that no second one works on it. The lock file names the process by
 * its id and start time: one that is left over from a process that is gone (or from before a reboot) is taken over.
 * @throws AppError `conflict` that names the process which holds it (`details.pid`)
 */
export async function lockFolder(options: FolderLockOptions): Promise<AsyncDisposable> {
  await makePrivateFolder(options.folder);
  const path = join(options.folder, options.name);
  const own = `${path}.${process.pid}`;
  const content = `${process.pid} ${await startTimeOf(process.pid)}\n`;
  await writeFile(own, content, { mode: 0o600 });
  try {
    // `link` makes the whole file appear at once, and fails when there is one.
    while (!(await tryLink(own, path))) await clearStale(path, options);
  } finally {
    await rm(own, { force: true });
  }
  return {
    async [Symbol.asyncDispose]() {
      if ((await readTextIfThere(path)) === content) await rm(path, { force: true });
    },
  };
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Removes the lock of a process that is gone; throws when it lives. */
async function clearStale(path: string, { folder, holder }: FolderLockOptions): Promise<void> {
  const content = await readTextIfThere(path);
  if (content === undefined) return;
  const [pid = "", startTime = ""] = content.trim().split(" ");
  if (startTime !== "" && (await startTimeOf(Number(pid))) === startTime) {
    throw new AppError("conflict", `${holder} (process ${pid}) already works on ${folder}; end it first, or use another folder`, {
      details: { pid: Number(pid), folder },
    });
  }
  // Moved away rather than removed: when somebody else took it over meanwhile, it is put back.
  const moved = `${path}.stale.${process.pid}`;
  await rename(path, moved).catch(() => {});
  if ((await readTextIfThere(moved)) !== content) await tryLink(moved, path).catch(() => {});
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
