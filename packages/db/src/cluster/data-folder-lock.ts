import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { AppError } from "@hardshare/protocol";

/** Exit code by which flock(1) says that another process holds the lock. */
export const LOCK_HELD_EXIT_CODE = 77;
/** A server that was killed just now lets go within milliseconds; longer means that it lives. */
const PATIENCE_S = 2;

/**
 * Takes a data folder for this process, until disposed or until this process ends in any way: a small child holds the
 * kernel's lock on the file as long as its standard input, our pipe, is open. (Node has no flock.)
 * @throws AppError `conflict` when another server uses the folder
 */
export async function lockDataFolder(lockFile: string, dataFolder: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  await writeFile(lockFile, "", { flag: "a", mode: 0o600 });
  const args = ["--wait", String(PATIENCE_S), "--conflict-exit-code", String(LOCK_HELD_EXIT_CODE), "--no-fork", lockFile];
  const keeper = spawn("flock", [...args, "sh", "-c", "echo held; exec cat >/dev/null"], {
    stdio: ["pipe", "pipe", "ignore"],
    detached: true,
    cwd: "/",
  });
  keeper.stdin.on("error", () => {}); // the keeper is gone: its exit says so
  const ended = new Promise<number | null>((resolve, reject) => {
    keeper.once("error", reject);
    keeper.once("exit", resolve);
  });
  const outcome = await waitForAnswer(keeper, ended, signal);
  if (outcome === "held") {
    return {
      async [Symbol.asyncDispose]() {
        keeper.stdin.end();
        await ended;
      },
    };
  }
  if (outcome === LOCK_HELD_EXIT_CODE) {
    throw new AppError(
      "conflict",
      `Another hardshare server uses the data folder ${dataFolder}. End it first, or give another --data-dir`,
      {
        details: { dataFolder },
      },
    );
  }
  throw new AppError("store_unavailable", `The data folder ${dataFolder} can't be locked: flock ended with code ${String(outcome)}`);
}

/** Resolves with `held`, or with the exit code of a keeper that didn't get the lock. */
async function waitForAnswer(keeper: ChildProcessByStdio<Writable, Readable, null>, ended: Promise<number | null>, signal?: AbortSignal) {
  const abort = () => keeper.kill("SIGKILL");
  signal?.addEventListener("abort", abort, { once: true });
  try {
    signal?.throwIfAborted();
    const outcome = await Promise.race([once(keeper.stdout, "data").then(() => "held" as const), ended]);
    signal?.throwIfAborted();
    return outcome;
  } catch (cause) {
    abort();
    signal?.throwIfAborted();
    const message = "The program flock (Debian package util-linux) can't be started; it guards the data folder";
    throw new AppError("store_unavailable", message, { cause });
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
