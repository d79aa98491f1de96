import type { Clock, Logger, Random } from "@hardshare/runtime";
import { ApiEngine } from "./api-engine.ts";
import { connectToDocker } from "./connect-docker.ts";
import type { DockerProvider } from "./docker-sockets.ts";
import type { Engine } from "./engine.ts";

export interface OpenDockerOptions {
  provider: DockerProvider;
  /** Says where Docker listens: DOCKER_HOST, XDG_RUNTIME_DIR. */
  environment: NodeJS.ProcessEnv;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * A Docker that runs on this computer already, with the settings and the storage that its owner gave it.
 * Throws `engine_missing`, `engine_failed`.
 */
export async function openDockerEngine(options: OpenDockerOptions, signal?: AbortSignal): Promise<Engine> {
  const { provider, environment, clock, random, logger } = options;
  const api = await connectToDocker(provider, environment, signal);
  return new ApiEngine({ api, clock, random, logger: logger.child({ part: "engine" }) });
}
