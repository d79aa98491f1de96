import { openDockerEngine } from "./open-docker.ts";
import type { ContainerProvider, Engine } from "./engine.ts";
import { type OpenPodmanOptions, openPodmanEngine } from "./open-podman.ts";

/** Opens the engine of a provider. Throws `engine_missing`, `engine_failed` with what to do. */
export async function openEngine(provider: ContainerProvider, options: OpenPodmanOptions, signal?: AbortSignal): Promise<Engine> {
  return provider === "podman" ? openPodmanEngine(options, signal) : openDockerEngine({ provider, ...options }, signal);
}
