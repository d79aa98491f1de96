import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";

/** Longer than any program takes to end after its supervisor (the host runs its contracts' programs for the end first). */
const PATIENCE_S = 180;
/** Exit code by which flock(1) says that somebody else holds the lock. */
const HELD_EXIT_CODE = 77;

export interface ProgramsLock extends AsyncDisposable {
  /** A descriptor that each program inherits: while one of them lives, however its supervisor ended, the lock is held. */
  readonly descriptor: number;
}

/**
 * Waits until the programs of a former `up` on this data folder have ended: after `kill -9` of their supervisor they end
 * by themselves, but the host takes the time that its instances need. The kernel's lock on a file (flock(2)) belongs to
 * an open file, which the programs share and their own children do not get (Node closes it for them).
 * @param onWait called when there is something to wait for
 * @throws AppError `conflict` when they don't end, `cancelled`
 */
export async function lockForPrograms(dataFolder: string, options: { signal: AbortSignal; onWait: () => void }): Promise<ProgramsLock> {
  const file = await open(join(dataFolder, "up.programs"), "w", 0o600);
  try {
    if (!(await flock(file.fd, ["--nonblock"], options.signal))) {
      options.onWait();
      if (!(await flock(file.fd, ["--wait", String(PATIENCE_S)], options.signal))) {
        throw new AppError(
          "conflict",
          `programs of the last \`hardshare up\` on ${dataFolder} still run after ${PATIENCE_S} s: end them first`,
        );
      }
    }
    return { descriptor: file.fd, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw options.signal.aborted ? new AppError("cancelled", "stopped while waiting", { cause: error }) : error;
  }
}

/** @returns false when somebody else holds the lock */
async function flock(descriptor: number, how: readonly string[], signal: AbortSignal): Promise<boolean> {
  const child = spawn("flock", [...how, "--conflict-exit-code", String(HELD_EXIT_CODE), "3"], {
    stdio: ["ignore", "ignore", "inherit", descriptor],
    signal,
  });
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0 && code !== HELD_EXIT_CODE) throw new AppError("program_failed", `flock (Debian package util-linux) ended with ${code}`);
  return code === 0;
}
