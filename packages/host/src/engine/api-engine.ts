/** The engine interface over the docker-compatible HTTP API (version 1.41), which podman speaks too. */
import type { IncomingMessage } from "node:http";
import { access, readFile } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import { BackOff, type Clock, type Logger, type Random, signalGroup } from "@hardshare/runtime";
import type { ApiConnection } from "./api-connection.ts";
import { orAborted, runLimited } from "./call-limits.ts";
import { ExitWatch } from "./exit-watch.ts";
import {
  type CallOptions,
  type ContainerExit,
  type ContainerFacts,
  type ContainerFile,
  type ContainerSpec,
  DEFAULT_CALL_TIMEOUT_MS,
  type Engine,
  type EngineVersion,
  type ExecOptions,
  type ImageFacts,
  type LabelFilter,
  type ListedContainer,
} from "./engine.ts";
import { Demultiplexer } from "./multiplexed-stream.ts";
import { makeTarArchive } from "./tar-archive.ts";

/** What a container may write to its log, which lies on the host's disk: root inside can write to it at will. */
const MAX_LOG_SIZE = "10m";
/** What this API gives by default beyond podman's own defaults: an SSH server and its users need none of it. */
const UNNEEDED_CAPABILITIES = ["AUDIT_WRITE", "MKNOD", "NET_RAW"];

export interface ApiEngineOptions {
  /** Disposed together with the engine. */
  api: ApiConnection;
  clock: Clock;
  random: Random;
  logger: Logger;
}

interface ContainerJson {
  Id: string;
  State: { Status: string; Running: boolean; Pid: number; ExitCode: number; OOMKilled: boolean; StartedAt: string };
}

interface ExecJson {
  Running: boolean;
  Pid: number;
  ExitCode: number | null;
}

export class ApiEngine implements Engine {
  readonly #api: ApiConnection;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #closing = new AbortController();

  constructor(options: ApiEngineOptions) {
    this.#api = options.api;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new AppError("cancelled", "the connection to the container engine was closed"));
    await this.#api[Symbol.asyncDispose]();
  }

  async version(options?: CallOptions): Promise<EngineVersion> {
    const reply = await this.#api.callForJson<{ Version: string; Components?: { Name: string }[] }>(
      { method: "GET", path: "/version", doing: "say its version" },
      options,
    );
    const name = reply.Components?.[0]?.Name ?? "Engine";
    return { name: name === "Engine" ? "docker" : name, version: reply.Version };
  }

  async inspectImage(name: string, options?: CallOptions): Promise<ImageFacts | undefined> {
    const asked = { method: "GET", path: `/images/${encodeURIComponent(name)}/json`, doing: `look for the image ${name}` } as const;
    const { status, body } = await this.#api.call(asked, options, [404]);
    if (status === 404) return undefined;
    const image = JSON.parse(body.toString("utf8")) as {
      Id: string;
      Config: { Labels: Record<string, string> | null; Entrypoint: string[] | null; Cmd: string[] | null };
    };
    return {
      id: image.Id,
      labels: image.Config.Labels ?? {},
      command: [...(image.Config.Entrypoint ?? []), ...(image.Config.Cmd ?? [])],
    };
  }

  async createContainer(spec: ContainerSpec, options?: CallOptions): Promise<string> {
    for (const device of spec.devices) await requireDevice(device);
    const { Id } = await this.#api.callForJson<{ Id: string }>(
      {
        method: "POST",
        path: "/containers/create",
        query: { name: spec.name },
        json: containerJson(spec),
        doing: `create the container ${spec.name}`,
      },
      options,
    );
    return Id;
  }

  async putFiles(id: string, folder: string, files: readonly ContainerFile[], options?: CallOptions): Promise<void> {
    const archive = makeTarArchive(files, this.#clock.now());
    const asked = { method: "PUT", path: `/containers/${id}/archive`, query: { path: folder }, archive } as const;
    await this.#api.call({ ...asked, doing: `put files into ${folder} of the container` }, options);
  }

  async startContainer(id: string, options?: CallOptions): Promise<void> {
    await this.#api.call({ method: "POST", path: `/containers/${id}/start`, doing: "start the container" }, options);
  }

  async inspectContainer(id: string, options?: CallOptions): Promise<ContainerFacts> {
    const asked = { method: "GET", path: `/containers/${id}/json`, doing: "inspect the container" } as const;
    const { Id, State: state } = await this.#api.callForJson<ContainerJson>(asked, options);
    const startedAt = Date.parse(state.StartedAt);
    const wasStarted = startedAt > 0; // the year 1 stands for never
    return {
      id: Id,
      isRunning: state.Running,
      pid: state.Running && state.Pid > 0 ? state.Pid : undefined,
      exitCode: state.Running || !wasStarted ? undefined : state.ExitCode,
      isOutOfMemory: state.OOMKilled,
      startedAt: wasStarted ? startedAt : undefined,
    };
  }

  async exec(id: string, argv: readonly string[], options: ExecOptions = {}): Promise<number> {
    const doing = `run ${argv[0]} in the container`;
    const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
    const { Id: execId } = await this.#api.callForJson<{ Id: string }>(
      {
        method: "POST",
        path: `/containers/${id}/exec`,
        json: { AttachStdout: true, AttachStderr: true, User: "0:0", Env: env, Cmd: argv },
        doing,
      },
      { signal: options.signal },
    );
    // Once asked, it runs or it failed: only then is it known what there is to kill, so the start itself is not cut short.
    const output = await runLimited(doing, { timeoutMs: DEFAULT_CALL_TIMEOUT_MS }, (signal) =>
      this.#api.open({ method: "POST", path: `/exec/${execId}/start`, json: { Detach: false, Tty: false }, doing }, signal),
    );
    try {
      await runLimited(doing, options, (signal) => orAborted(readOutput(output, doing, options.onOutput), signal));
    } catch (error) {
      await this.#killExec(execId, id);
      output.destroy();
      throw error;
    }
    const { ExitCode } = await this.#inspectExec(execId);
    if (ExitCode === null) throw new AppError("engine_failed", `the container engine could not ${doing}: it does not know its exit code`);
    return ExitCode;
  }

  async removeContainer(id: string, options?: CallOptions): Promise<void> {
    const asked = { method: "DELETE", path: `/containers/${id}`, query: { force: "true", v: "true" } } as const;
    await this.#api.call({ ...asked, doing: "remove the container" }, options, [404]);
  }

  async listContainers(labels: LabelFilter, options?: CallOptions): Promise<ListedContainer[]> {
    const filters = JSON.stringify({ label: Object.entries(labels).map(([name, value]) => (value === true ? name : `${name}=${value}`)) });
    const found = await this.#api.callForJson<{ Id: string; Names: string[]; Labels: Record<string, string> | null; State: string }[]>(
      { method: "GET", path: "/containers/json", query: { all: "true", filters }, doing: "list containers" },
      options,
    );
    return found.map((container) => ({
      id: container.Id,
      name: (container.Names[0] ?? "").replace(/^\//, ""),
      labels: container.Labels ?? {},
      isRunning: container.State === "running",
    }));
  }

  async watchExits(labels: LabelFilter, onExit: (exit: ContainerExit) => void, signal: AbortSignal): Promise<void> {
    const watch = new ExitWatch({
      api: this.#api,
      clock: this.#clock,
      backOff: new BackOff({ firstMs: 50, maxMs: 2000, random: this.#random }),
      logger: this.#logger,
      labels,
      onExit,
      engine: this,
      signals: [signal, this.#closing.signal],
    });
    await watch.start();
  }

  async tailLogs(id: string, lines: number, options?: CallOptions): Promise<string> {
    const query = { stdout: "true", stderr: "true", tail: String(lines) };
    const { body } = await this.#api.call(
      { method: "GET", path: `/containers/${id}/logs`, query, doing: "read the container's log" },
      options,
    );
    const chunks: Buffer[] = [];
    new Demultiplexer((chunk) => chunks.push(chunk)).push(body);
    return Buffer.concat(chunks).toString("utf8");
  }

  async #inspectExec(execId: string): Promise<ExecJson> {
    return await this.#api.callForJson<ExecJson>({ method: "GET", path: `/exec/${execId}/json`, doing: "ask how a program ended" });
  }

  /** The API has no call for it: the program's process group is killed from outside. A program that ended meanwhile is fine. */
  async #killExec(execId: string, containerId: string): Promise<void> {
    try {
      const { Running, Pid } = await this.#inspectExec(execId);
      // An engine in another process namespace would name a process that is a stranger here.
      if (Running && Pid > 0 && (await isInContainer(Pid, containerId))) signalGroup(Pid, "SIGKILL");
    } catch (error) {
      this.#logger.warn("a program in a container could not be killed; it ends with its container", { container: containerId, error });
    }
  }
}

function containerJson(spec: ContainerSpec): unknown {
  return {
    Image: spec.image,
    Hostname: spec.hostname,
    Labels: spec.labels,
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    ...(spec.command === undefined ? {} : { Entrypoint: spec.command.slice(0, 1), Cmd: spec.command.slice(1) }),
    HostConfig: {
      NetworkMode: spec.network,
      Memory: spec.limits.memoryBytes,
      MemorySwap: spec.limits.memoryBytes,
      NanoCpus: Math.round(spec.limits.cpus * 1e9),
      PidsLimit: spec.limits.pids,
      SecurityOpt: ["no-new-privileges"],
      LogConfig: { Type: "json-file", Config: { "max-size": MAX_LOG_SIZE } },
      CapDrop: UNNEEDED_CAPABILITIES,
      Devices: spec.devices.map((path) => ({ PathOnHost: path, PathInContainer: path, CgroupPermissions: "rw" })),
      // A pseudo-terminal can be opened inside devpts alone, so as a device it would answer with an error.
      Binds: (spec.mounts ?? []).map(({ host, inside, isReadOnly }) => `${host}:${inside}${isReadOnly === true ? ":ro" : ""}`),
    },
  };
}

async function requireDevice(path: string): Promise<void> {
  try {
    await access(path);
  } catch (error) {
    throw new AppError("device_missing", `the device ${path} is not there: plug it in, or correct \`devices\` of the contract`, {
      details: { device: path },
      cause: error,
    });
  }
}

async function readOutput(output: IncomingMessage, doing: string, onOutput: ExecOptions["onOutput"]): Promise<void> {
  const demultiplexer = new Demultiplexer((chunk, stream) => onOutput?.(chunk, stream));
  try {
    for await (const chunk of output as AsyncIterable<Buffer>) demultiplexer.push(chunk);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError("engine_failed", `the connection to the container engine was lost while it should ${doing}`, { cause: error });
  }
}

async function isInContainer(pid: number, containerId: string): Promise<boolean> {
  return (await readFile(`/proc/${pid}/cgroup`, "utf8")).includes(containerId);
}
