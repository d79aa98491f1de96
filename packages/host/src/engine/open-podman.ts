import { join } from "node:path";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { ApiConnection } from "./api-connection.ts";
import { ApiEngine } from "./api-engine.ts";
import type { Engine } from "./engine.ts";
import { PodmanService } from "./podman-service.ts";
import { preparePodman } from "./podman-setup.ts";

export interface OpenPodmanOptions {
  /** Folder where what podman needs on this machine is kept. */
  stateFolder: string;
  /** A short folder for its socket: `socketFolder` of runtime. */
  socketFolder: string;
  /** The environment that podman inherits. */
  environment: NodeJS.ProcessEnv;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * podman, through a service of our own that ends with this process; containers stay. It uses podman's usual storage,
 * so that the owner sees containers and images with `podman ps`. Throws `engine_missing`, `engine_failed`.
 */
export async function openPodmanEngine(options: OpenPodmanOptions, signal?: AbortSignal): Promise<Engine> {
  const { clock, random } = options;
  const logger = options.logger.child({ part: "engine" });
  const setup = await preparePodman({ folder: options.stateFolder, environment: options.environment, logger, signal });
  const socketPath = join(options.socketFolder, "podman.sock");
  const endpoint = await PodmanService.start({ setup, socketPath, clock, random, logger }, signal);
  return new ApiEngine({ api: new ApiConnection(endpoint), clock, random, logger });
}
