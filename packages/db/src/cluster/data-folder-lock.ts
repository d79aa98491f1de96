import { AppError, toAppError } from "@hardshare/protocol";
import { lockFile } from "@hardshare/runtime";

/** A server that was killed just now lets go within milliseconds; longer means that it lives. */
const PATIENCE_S = 2;

/**
 * Takes a data folder for this process, until disposed or until this process ends in any way.
 * @throws AppError `conflict` when another server uses the folder, `store_unavailable` when it can't be locked
 */
export async function lockDataFolder(path: string, dataFolder: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  const lock = await lockFile(path, { waitS: PATIENCE_S, signal }).catch((cause: unknown) => {
    signal?.throwIfAborted();
    throw new AppError("store_unavailable", `The data folder ${dataFolder} can't be locked: ${toAppError(cause).message}`, { cause });
  });
  if (lock !== undefined) return lock;
  throw new AppError("conflict", `Another hardshare server uses the data folder ${dataFolder}. End it first, or give another --data-dir`, {
    details: { dataFolder },
  });
}
