import { type Logger, systemClock } from "@hardshare/runtime";
import { connectToDocker } from "../engine/connect-docker.ts";
import type { ContainerProvider } from "../engine/engine.ts";
import { preparePodman } from "../engine/podman-setup.ts";
import { DockerImages } from "./docker-images.ts";
import type { ImageStore } from "./image-store.ts";
import { PodmanImages } from "./podman-images.ts";

export interface OpenImageStoreOptions {
  /** Whose storage it is. */
  provider: ContainerProvider;
  /** A folder of the caller's where what podman needs on this machine is kept. */
  folder: string;
  /** The environment that podman and mmdebstrap inherit, and that says where Docker listens. */
  environment: NodeJS.ProcessEnv;
  logger: Logger;
}

/** Throws `engine_missing`, `engine_failed`. */
export async function openImageStore(options: OpenImageStoreOptions, signal?: AbortSignal): Promise<ImageStore> {
  const { provider, environment } = options;
  if (provider === "podman") return new PodmanImages(await preparePodman({ ...options, signal }));
  return new DockerImages(await connectToDocker(provider, environment, signal), systemClock);
}
