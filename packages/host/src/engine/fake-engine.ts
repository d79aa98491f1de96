/**
 * An engine in memory, for tests of what uses one. It runs a handful of programs (`true`, `false`, `echo`, `cat`, `sleep`)
 * and passes the same suite as the real engines.
 */
import { posix } from "node:path";
import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { orAborted, runLimited } from "./call-limits.ts";
import type {
  CallOptions,
  ContainerExit,
  ContainerFacts,
  ContainerFile,
  ContainerSpec,
  Engine,
  EngineVersion,
  ExecOptions,
  ImageFacts,
  LabelFilter,
  ListedContainer,
} from "./engine.ts";

/** Exit code of a process that was ended by SIGKILL: 128 + 9. */
const KILLED = 137;

export interface FakeEngineOptions {
  clock: Clock;
  /** Images by name. */
  images: Readonly<Record<string, ImageFacts>>;
  /** Device files that are there. */
  devices?: readonly string[];
}

interface FakeContainer {
  id: string;
  spec: ContainerSpec;
  files: Map<string, Buffer>;
  log: string;
  state: "created" | "running" | "exited";
  pid: number;
  exitCode: number;
  startedAt: number | undefined;
  /** Aborted when its first process ends. */
  life: AbortController;
}

type Output = (text: string, stream: "stdout" | "stderr") => void;

export class FakeEngine implements Engine {
  readonly #options: FakeEngineOptions;
  readonly #containers = new Map<string, FakeContainer>();
  readonly #watches = new Set<{ labels: LabelFilter; onExit: (exit: ContainerExit) => void }>();
  readonly #failures = new Map<keyof Engine, AppError>();
  #created = 0;

  constructor(options: FakeEngineOptions) {
    this.#options = options;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watches.clear();
  }

  /** Makes the next call of this name reject. */
  failNext(call: Exclude<keyof Engine, symbol>, error: AppError): void {
    this.#failures.set(call, error);
  }

  /** Ends a container's first process, as if it had crashed. */
  endContainer(id: string, exitCode: number): void {
    this.#end(this.#find(id), exitCode);
  }

  #end(container: FakeContainer, exitCode: number): void {
    if (container.state !== "running") return;
    const { id } = container;
    container.state = "exited";
    container.exitCode = exitCode;
    container.life.abort();
    for (const { labels, onExit } of this.#watches) {
      if (fits(container.spec.labels, labels)) onExit({ id, labels: container.spec.labels, exitCode });
    }
  }

  async version(options?: CallOptions): Promise<EngineVersion> {
    return await this.#call("version", options, () => ({ name: "fake", version: "1" }));
  }

  async inspectImage(name: string, options?: CallOptions): Promise<ImageFacts | undefined> {
    return await this.#call("inspectImage", options, () => this.#options.images[name]);
  }

  async createContainer(spec: ContainerSpec, options?: CallOptions): Promise<string> {
    return await this.#call("createContainer", options, () => {
      for (const device of spec.devices) {
        if (this.#options.devices?.includes(device) === true) continue;
        throw new AppError("device_missing", `the device ${device} is not there`, { details: { device } });
      }
      if (this.#options.images[spec.image] === undefined) throw new AppError("image_missing", `no such image: ${spec.image}`);
      if ([...this.#containers.values()].some((other) => other.spec.name === spec.name)) {
        throw new AppError("conflict", `the name ${spec.name} is in use`);
      }
      this.#created += 1;
      const id = this.#created.toString(16).padStart(64, "0");
      const life = new AbortController();
      const pid = 1000 + this.#created;
      this.#containers.set(id, { id, spec, files: new Map(), log: "", state: "created", pid, exitCode: 0, startedAt: undefined, life });
      return id;
    });
  }

  async putFiles(id: string, folder: string, files: readonly ContainerFile[], options?: CallOptions): Promise<void> {
    await this.#call("putFiles", options, () => {
      const container = this.#find(id);
      for (const file of files) {
        if (file.content !== undefined) container.files.set(posix.join(folder, file.path), Buffer.from(file.content));
      }
    });
  }

  async startContainer(id: string, options?: CallOptions): Promise<void> {
    await this.#call("startContainer", options, () => {
      const container = this.#find(id);
      if (container.state === "running") return;
      container.state = "running";
      container.startedAt = this.#options.clock.now();
      container.life = new AbortController();
      const command = container.spec.command ?? this.#options.images[container.spec.image]?.command ?? [];
      void this.#run(container, command, (text) => (container.log += text), container.life.signal).then((exitCode) =>
        this.#end(container, exitCode),
      );
    });
  }

  async inspectContainer(id: string, options?: CallOptions): Promise<ContainerFacts> {
    return await this.#call("inspectContainer", options, () => {
      const { state, pid, exitCode, startedAt } = this.#find(id);
      return {
        id,
        isRunning: state === "running",
        pid: state === "running" ? pid : undefined,
        exitCode: state === "exited" ? exitCode : undefined,
        isOutOfMemory: false,
        startedAt,
      };
    });
  }

  async exec(id: string, argv: readonly string[], options: ExecOptions = {}): Promise<number> {
    const container = await this.#call("exec", { signal: options.signal }, () => this.#find(id));
    if (container.state !== "running") throw new AppError("engine_failed", "a program can only run in a running container");
    const output: Output = (text, stream) => options.onOutput?.(Buffer.from(text), stream);
    const run = async (signal: AbortSignal) => {
      const exitCode = await this.#run(container, argv, output, AbortSignal.any([signal, container.life.signal]));
      signal.throwIfAborted();
      return exitCode;
    };
    return await runLimited(`run ${argv[0]}`, options, run, this.#options.clock);
  }

  async removeContainer(id: string, options?: CallOptions): Promise<void> {
    await this.#call("removeContainer", options, () => {
      const container = this.#containers.get(id);
      if (container === undefined) return;
      this.#end(container, KILLED);
      this.#containers.delete(id);
    });
  }

  async listContainers(labels: LabelFilter, options?: CallOptions): Promise<ListedContainer[]> {
    return await this.#call("listContainers", options, () =>
      [...this.#containers.values()]
        .filter((container) => fits(container.spec.labels, labels))
        .map(({ id, spec, state }) => ({ id, name: spec.name, labels: spec.labels, isRunning: state === "running" })),
    );
  }

  async watchExits(labels: LabelFilter, onExit: (exit: ContainerExit) => void, signal: AbortSignal): Promise<void> {
    await this.#call("watchExits", { signal }, () => {
      const watch = { labels, onExit };
      this.#watches.add(watch);
      signal.addEventListener("abort", () => this.#watches.delete(watch), { once: true });
    });
  }

  async tailLogs(id: string, lines: number, options?: CallOptions): Promise<string> {
    return await this.#call("tailLogs", options, () =>
      this.#find(id)
        .log.split(/(?<=\n)/)
        .slice(-lines)
        .join(""),
    );
  }

  async #call<T>(name: keyof Engine, options: CallOptions = {}, answer: () => T): Promise<T> {
    return await runLimited(String(name), options, async () => {
      const failure = this.#failures.get(name);
      this.#failures.delete(name);
      if (failure !== undefined) throw failure;
      return answer();
    });
  }

  #find(id: string): FakeContainer {
    const container = this.#containers.get(id);
    if (container === undefined) throw new AppError("not_found", `no such container: ${id}`);
    return container;
  }

  async #run(container: FakeContainer, argv: readonly string[], output: Output, signal: AbortSignal): Promise<number> {
    const [program = "", ...args] = argv;
    switch (program) {
      case "true":
        return 0;
      case "false":
        return 1;
      case "echo":
        output(`${args.join(" ")}\n`, "stdout");
        return 0;
      case "cat": {
        const content = container.files.get(args[0] ?? "");
        output(content?.toString("utf8") ?? `cat: ${args[0]}: No such file or directory\n`, content === undefined ? "stderr" : "stdout");
        return content === undefined ? 1 : 0;
      }
      case "sleep":
        await orAborted(
          new Promise((resolve) => void this.#options.clock.after(Number(args[0]) * 1000, () => resolve(undefined))),
          signal,
        ).catch(() => {});
        return signal.aborted ? KILLED : 0;
      default:
        return 127;
    }
  }
}

function fits(labels: Readonly<Record<string, string>>, wanted: LabelFilter): boolean {
  return Object.entries(wanted).every(([name, value]) => (value === true ? name in labels : labels[name] === value));
}
