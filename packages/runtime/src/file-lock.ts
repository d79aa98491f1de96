import { spawn } from "node:child_process";
import { close, open } from "node:fs";
import { once } from "node:events";
import { promisify } from "node:util";
import { AppError } from "@hardshare/protocol";

/** Exit code by which flock(1), told so, says that somebody else holds a lock. */
export const LOCK_HELD_EXIT_CODE = 77;

/** The kernel's lock on a file (flock(2)). */
export interface FileLock extends AsyncDisposable {
  /**
   * The lock belongs to the open file, which a child that inherits this descriptor shares: it is held until the last of
   * them has ended, however. Node hands it on to no other child.
   */
  readonly descriptor: number;
}

/**
 * Locks a file for this process, until disposed or until this process ends in any way. Node has no flock: util-linux's,
 * given our descriptor, locks it for us.
 * @param options.waitS seconds to wait for whoever holds it, 0 for not at all; otherwise as long as it takes
 * @returns undefined when somebody else holds it
 * @throws AppError `program_failed` when there is no flock; the signal's reason
 */
export async function lockFile(
  path: string,
  options: { waitS?: number; signal?: AbortSignal | undefined } = {},
): Promise<FileLock | undefined> {
  const { waitS, signal } = options;
  signal?.throwIfAborted();
  // A number, not a FileHandle: that one is closed when nobody refers to it any more.
  const descriptor = await promisify(open)(path, "a", 0o600);
  let isHeld = false;
  const release = async () => {
    if (!isHeld) return; // a number that was closed may be another file's by now
    isHeld = false;
    await promisify(close)(descriptor);
  };
  try {
    isHeld = await flock(descriptor, waitS === undefined ? [] : ["--wait", String(waitS)], signal);
  } finally {
    if (!isHeld) await promisify(close)(descriptor);
  }
  return isHeld ? { descriptor, [Symbol.asyncDispose]: release } : undefined;
}

async function flock(descriptor: number, wait: readonly string[], signal: AbortSignal | undefined): Promise<boolean> {
  const child = spawn("flock", [...wait, "--conflict-exit-code", String(LOCK_HELD_EXIT_CODE), "3"], {
    stdio: ["ignore", "ignore", "inherit", descriptor],
    cwd: "/",
    ...(signal === undefined ? {} : { signal }),
  });
  let code: number | null;
  try {
    [code] = (await once(child, "exit")) as [number | null];
  } catch (cause) {
    signal?.throwIfAborted();
    throw new AppError("program_failed", "The program flock (Debian package util-linux) can't be started", { cause });
  }
  signal?.throwIfAborted();
  if (code !== 0 && code !== LOCK_HELD_EXIT_CODE) throw new AppError("program_failed", `flock ended with code ${code}`);
  return code === 0;
}
