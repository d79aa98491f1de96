import { type AppError, toAppError } from "@hardshare/protocol";
import { programLogger } from "../infrastructure/serving.ts";
import type { Invocation } from "../context.ts";

/** Whether containers can run here, with an image for instances; if not, why and what to do about it. */
export type ContainerSupport = { canRun: true } | { canRun: false; why: string; problem?: AppError };

/**
 * Finds out whether containers can run here, and builds the image of instances the first time, which is told line by line.
 * What is missing is no failure: the rest works without.
 * @param stateFolder where what podman needs on this machine is kept
 */
export async function prepareContainers(
  { context, options, output }: Invocation,
  { isWanted, stateFolder, signal }: { isWanted: boolean; stateFolder: string; signal: AbortSignal },
): Promise<ContainerSupport> {
  if (!isWanted) return { canRun: false, why: "it was left out by --no-container" };
  // Nothing is tried: podman would leave a process of its own behind.
  if (context.environment.uid !== 0) return { canRun: false, why: "containers need root here: start with `sudo npm start` or as root" };
  try {
    const { ensureImage } = await import("@hardshare/host");
    await ensureImage({
      folder: stateFolder,
      environment: context.environment.variables,
      logger: programLogger("image", options),
      onProgress: (line) => output.progress(`[image] ${line}`),
      signal,
    });
    return { canRun: true };
  } catch (error) {
    if (signal.aborted) throw error;
    const problem = toAppError(error);
    return { canRun: false, why: problem.message, problem };
  }
}
