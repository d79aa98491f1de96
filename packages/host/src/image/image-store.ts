import type { Readable } from "node:stream";

/** What making images asks of an engine. Every call rejects with an AppError: `engine_failed` with the engine's words, or the signal's reason. */
export interface ImageStore extends AsyncDisposable {
  /** Undefined when there is no such image. */
  inspect(name: string, signal: AbortSignal): Promise<StoredImage | undefined>;

  /**
   * Fetches an image from its registry.
   * @param onLine is told what happens
   * @param onAnswer called when the registry answered
   */
  pull(name: string, onLine: (line: string) => void, onAnswer: () => void, signal: AbortSignal): Promise<void>;

  /** Makes an image of a root file system, a tar archive; returns its id. It has no name yet. */
  importArchive(archive: Readable, signal: AbortSignal): Promise<string>;

  /** Gives an image a name, which another one may have had. */
  tag(image: string, name: string, signal: AbortSignal): Promise<void>;

  /** Builds a Containerfile. What a build that fails or is stopped had made is removed, if need be by the next one. */
  build(build: ImageBuild, onLine: (line: string) => void, signal: AbortSignal): Promise<void>;

  /** Removes an image; one that a container uses stays, and so does one that is not there. */
  remove(id: string, signal: AbortSignal): Promise<void>;
}

export interface StoredImage {
  id: string;
  labels: Readonly<Record<string, string>>;
}

export interface ImageBuild {
  name: string;
  /** Name of the image that it is built on. */
  base: string;
  labels: Readonly<Record<string, string>>;
  /** Folder of the Containerfile and of what it copies; no folders in it. */
  contextFolder: string;
  /** apt's settings of this machine for getting packages while it is built: lines for apt.conf(5). */
  aptSettings: readonly string[];
}

/** The apt.conf(5) of a build. It sorts before those of the image, which overrule it. */
export const APT_SETTINGS_FILE = "/etc/apt/apt.conf.d/00-machine";

/** Paths of the certificates and keys that apt's settings name. */
export function filesNamedBy(aptSettings: readonly string[]): string[] {
  const paths = aptSettings.map((line) => /"(\/[^"]+)"/.exec(line)?.[1]).filter((path) => path !== undefined);
  return [...new Set(paths)];
}
