/**
 * What the host asks of a container engine, in a dozen calls. Called by the instance executor; implemented over the
 * docker-compatible HTTP API (`api-engine.ts`) and in memory (`fake-engine.ts`), both under one shared test suite.
 * Nothing here knows of instances, contracts or tunnels.
 *
 * Every call takes a signal and a time limit and rejects with an AppError: `engine_failed` (with the engine's words),
 * `engine_missing` (nothing answers on its socket), `image_missing`, `device_missing`, `timed_out`, `cancelled`,
 * and `not_found` for a container that does not exist.
 */
import type { Contract } from "@hardshare/protocol";

/** A provider of a contract that runs containers. */
export type ContainerProvider = Exclude<Contract["provider"], "proxy">;

/** Milliseconds a call may take unless told otherwise. Calls take 1–100 ms on an idle machine; a loaded small one needs seconds. */
export const DEFAULT_CALL_TIMEOUT_MS = 30_000;

export interface CallOptions {
  /** Aborting rejects with `cancelled`; the engine may or may not have done what was asked. */
  signal?: AbortSignal | undefined;
  /** Default: DEFAULT_CALL_TIMEOUT_MS. */
  timeoutMs?: number | undefined;
}

/** Labels by which containers are found: a value must be equal, `true` means that the label exists. */
export type LabelFilter = Readonly<Record<string, string | true>>;

export interface EngineVersion {
  /** Which engine answers, such as "podman". */
  name: string;
  version: string;
}

export interface ImageFacts {
  id: string;
  labels: Readonly<Record<string, string>>;
  /** Its entry point and command together, as an argument vector; empty when it has none. */
  command: readonly string[];
}

interface ContainerLimits {
  /** Memory and swap together. */
  memoryBytes: number;
  /** Cores; fractions allowed. */
  cpus: number;
  /** Processes and threads. */
  pids: number;
}

/**
 * A container to create. It gets podman's default capabilities at most, no-new-privileges, and only its own loopback as
 * network.
 */
export interface ContainerSpec {
  image: string;
  name: string;
  hostname: string;
  labels: Readonly<Record<string, string>>;
  env: Readonly<Record<string, string>>;
  /** Replaces the image's entry point and command; undefined leaves them. */
  command?: readonly string[] | undefined;
  limits: ContainerLimits;
  /** Device files of the host, shown inside under the same path with read and write access. */
  devices: readonly string[];
  /** Terminals and files of the host that are shown inside as files; none when left out. */
  mounts?: readonly { host: string; inside: string; isReadOnly?: boolean }[];
  network: "none";
}

/** A file to put into a container, or a folder when `content` is absent. */
export interface ContainerFile {
  /** Relative to the folder given to `putFiles`, without `..`. Folders above it that are missing are made. */
  path: string;
  /** Permission bits such as 0o600. */
  mode: number;
  uid: number;
  gid: number;
  content?: string | Uint8Array | undefined;
}

export interface ContainerFacts {
  id: string;
  isRunning: boolean;
  /** Process id of its first process, as the host sees it; undefined when it does not run. */
  pid: number | undefined;
  /** Undefined while it runs and before its first start. */
  exitCode: number | undefined;
  /** Whether it was ended for using too much memory. */
  isOutOfMemory: boolean;
  /** Wall time in milliseconds since 1970; undefined before its first start. */
  startedAt: number | undefined;
}

export interface ListedContainer {
  id: string;
  name: string;
  labels: Readonly<Record<string, string>>;
  isRunning: boolean;
}

export interface ExecOptions extends CallOptions {
  /** Added to the container's own environment. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Called with what the program writes, in order; nothing is kept. */
  onOutput?: ((chunk: Buffer, stream: "stdout" | "stderr") => void) | undefined;
}

/** A container's first process ended. */
export interface ContainerExit {
  id: string;
  labels: Readonly<Record<string, string>>;
  /** Undefined when the engine did not say. */
  exitCode: number | undefined;
}

export interface Engine extends AsyncDisposable {
  /** Proves that the engine answers, and says which it is. */
  version(options?: CallOptions): Promise<EngineVersion>;

  /** Undefined when the engine does not have it; nothing is pulled. */
  inspectImage(name: string, options?: CallOptions): Promise<ImageFacts | undefined>;

  /**
   * Creates a container without starting it; returns its id. Throws `image_missing`; `device_missing` (details.device)
   * when a device file is not there; `conflict` when the name is taken.
   */
  createContainer(spec: ContainerSpec, options?: CallOptions): Promise<string>;

  /** Writes files below a folder of a container, created or running. Existing files are replaced. */
  putFiles(id: string, folder: string, files: readonly ContainerFile[], options?: CallOptions): Promise<void>;

  /** Resolves when its first process runs; one that runs already is fine. */
  startContainer(id: string, options?: CallOptions): Promise<void>;

  inspectContainer(id: string, options?: CallOptions): Promise<ContainerFacts>;

  /**
   * Runs a program as root inside a running container to its end; returns its exit code (127 or, by some
   * versions of Docker, 126 when there is no such program; 126 when it cannot be executed).
   * When aborted or out of time, the program's process group is killed before the call rejects.
   * There is no default time limit.
   */
  exec(id: string, argv: readonly string[], options?: ExecOptions): Promise<number>;

  /** Kills and removes a container with all its processes; one that is not there is fine. */
  removeContainer(id: string, options?: CallOptions): Promise<void>;

  /** Containers, running or not, whose labels fit. */
  listContainers(labels: LabelFilter, options?: CallOptions): Promise<ListedContainer[]>;

  /**
   * Calls `onExit` for every container with fitting labels whose first process ends after this call was made, until `signal`
   * is aborted. An exit may be told twice, but none is left out, also when the engine itself restarts meanwhile.
   * Resolves once it watches.
   */
  watchExits(labels: LabelFilter, onExit: (exit: ContainerExit) => void, signal: AbortSignal): Promise<void>;

  /** The last lines that the container's first process wrote, standard output and error together. */
  tailLogs(id: string, lines: number, options?: CallOptions): Promise<string>;
}
