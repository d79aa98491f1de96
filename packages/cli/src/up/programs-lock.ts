import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { type FileLock, lockFile } from "@hardshare/runtime";

/** Longer than any program takes to end after its supervisor (the host runs its contracts' programs for the end first). */
const PATIENCE_S = 180;

/**
 * Waits until the programs of a former `up` on this data folder have ended: after `kill -9` of their supervisor they end
 * by themselves, but the host takes the time that its instances need. Each program inherits the lock's descriptor, so
 * that it is held while one of them lives.
 * @param options.onWait called when there is something to wait for
 * @throws AppError `conflict` when they don't end, `cancelled`
 */
export async function lockForPrograms(dataFolder: string, options: { signal: AbortSignal; onWait: () => void }): Promise<FileLock> {
  const { signal, onWait } = options;
  const path = join(dataFolder, "up.programs");
  try {
    const free = await lockFile(path, { waitS: 0, signal });
    if (free !== undefined) return free;
    onWait();
    const freed = await lockFile(path, { waitS: PATIENCE_S, signal });
    if (freed !== undefined) return freed;
  } catch (error) {
    throw signal.aborted ? new AppError("cancelled", "stopped while waiting", { cause: error }) : error;
  }
  throw new AppError("conflict", `programs of the last \`hardshare up\` on ${dataFolder} still run after ${PATIENCE_S} s: end them first`);
}
