import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { AppError } from "@hardshare/protocol";
import { endProcessGroup, makePrivateFolder } from "@hardshare/runtime";

/** Milliseconds until a lock's holder is killed instead of asked. */
const RELEASE_GRACE_MS = 1000;

/** A lock that processes of one machine take in turn, by util-linux's flock; it ends with its holder in any way. */
export class MachineLock implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Waits until the lock is free; the folder of the file is made. Rejects with the signal's reason. */
  static async take(path: string, signal: AbortSignal): Promise<MachineLock> {
    await makePrivateFolder(dirname(path));
    signal.throwIfAborted();
    // `cat` says that the lock is held and holds it until its input, a pipe of ours, ends
    const child = spawn("flock", [path, "sh", "-c", "echo held; exec cat >/dev/null"], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    const lock = new MachineLock(child);
    const ended = once(child, "close", { signal }).then(() => {
      throw new AppError("internal", `the lock ${path} could not be taken: flock (util-linux) failed`);
    });
    ended.catch(() => {}); // of interest only until the lock is held
    try {
      if (child.stdout !== null) await Promise.race([once(child.stdout, "data", { signal }), ended]);
    } catch (error) {
      await lock[Symbol.asyncDispose]();
      signal.throwIfAborted();
      throw error;
    }
    return lock;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.destroy();
    await endProcessGroup(this.#child, RELEASE_GRACE_MS);
  }
}
