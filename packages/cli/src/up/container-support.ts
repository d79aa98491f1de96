import { type AppError, toAppError } from "@hardshare/protocol";
import { programLogger } from "../infrastructure/serving.ts";
import type { Invocation } from "../context.ts";

/** An engine that `up` takes by itself. */
export type DemoEngine = "podman" | "docker";

/** Whether containers can run here, with an image for instances; if not, why and what to do about it. */
export type ContainerSupport = { canRun: true; provider: DemoEngine } | { canRun: false; why: string; problem?: AppError };

export interface PrepareContainersOptions {
  isWanted: boolean;
  /** Where what podman needs on this machine is kept. */
  stateFolder: string;
  /** The engine that the demo's contract names already; else podman, or Docker where podman is not installed. */
  provider: DemoEngine | undefined;
  signal: AbortSignal;
}

/**
 * Finds out whether containers can run here, and builds the image of instances the first time, which is told line by line.
 * What is missing is no failure: the rest works without.
 */
export async function prepareContainers(invocation: Invocation, options: PrepareContainersOptions): Promise<ContainerSupport> {
  if (!options.isWanted) return { canRun: false, why: "it was left out by --no-container" };
  // Nothing is tried: podman would leave a process of its own behind.
  if (invocation.context.environment.uid !== 0) {
    return { canRun: false, why: "containers need root here: start with `sudo npm start` or as root" };
  }
  const problem = await prepare(invocation, options.provider ?? "podman", options);
  if (problem === undefined) return { canRun: true, provider: options.provider ?? "podman" };
  if (options.provider !== undefined || problem.code !== "engine_missing") return refuse(problem);
  const second = await prepare(invocation, "docker", options);
  if (second === undefined) return { canRun: true, provider: "docker" };
  return refuse(second.code === "engine_missing" ? problem : second); // of two that are missing, podman is to be installed
}

function refuse(problem: AppError): ContainerSupport {
  return { canRun: false, why: problem.message, problem };
}

/** @returns why the engine has no image of instances; undefined when it has one */
async function prepare(
  { context, options, output }: Invocation,
  provider: DemoEngine,
  { stateFolder, signal }: PrepareContainersOptions,
): Promise<AppError | undefined> {
  try {
    const { ensureImage } = await import("@hardshare/host");
    await ensureImage({
      provider,
      folder: stateFolder,
      environment: context.environment.variables,
      logger: programLogger("image", options),
      onProgress: (line) => output.progress(`[image] ${line}`),
      signal,
    });
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    return toAppError(error);
  }
}
