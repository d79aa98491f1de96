/**
 * podman's API, served by a process of our own on a socket of our own: it reads our settings, and ends with us.
 * Containers are not its children and outlive it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { AppError } from "@hardshare/protocol";
import { BackOff, type Clock, endProcessGroup, type Logger, makePrivateFolder, type Random } from "@hardshare/runtime";
import type { EngineEndpoint } from "./api-connection.ts";
import { orAborted, runLimited } from "./call-limits.ts";
import { findProgram } from "./podman-facts.ts";
import type { PodmanSetup } from "./podman-setup.ts";
import { SocketAppearance } from "./socket-appearance.ts";

/** Milliseconds the service may take until it listens; it takes 0.1 s. */
const START_TIMEOUT_MS = 30_000;
/** Milliseconds it has to finish what it does when it is to end. */
const STOP_GRACE_MS = 5000;
/** What is kept of its last words. */
const MAX_WORDS_BYTES = 4096;

export interface PodmanServiceOptions {
  setup: PodmanSetup;
  /** At most 107 bytes long (unix(7)); its folder is made. */
  socketPath: string;
  clock: Clock;
  random: Random;
  logger: Logger;
}

export class PodmanService implements EngineEndpoint {
  readonly socketPath: string;
  readonly #options: PodmanServiceOptions;
  readonly #backOff: BackOff;
  readonly #closing = new AbortController();
  #child: ChildProcess | undefined;
  #listening: Promise<void> = Promise.resolve();
  #timer: Disposable | undefined;

  private constructor(options: PodmanServiceOptions) {
    this.#options = options;
    this.socketPath = options.socketPath;
    this.#backOff = new BackOff({ firstMs: 50, maxMs: 5000, random: options.random });
  }

  /** Resolves when it listens. Throws `engine_failed` with podman's words when it ends instead. */
  static async start(options: PodmanServiceOptions, signal?: AbortSignal): Promise<PodmanService> {
    const service = new PodmanService(options);
    try {
      service.#launch();
      await service.ready(signal ?? service.#closing.signal);
    } catch (error) {
      await service[Symbol.asyncDispose]();
      throw error;
    }
    return service;
  }

  /** A service that ended by itself is started again; this waits for it. */
  async ready(signal: AbortSignal): Promise<void> {
    await orAborted(orAborted(this.#listening, this.#closing.signal), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new AppError("cancelled", "podman's service was stopped"));
    this.#timer?.[Symbol.dispose]();
    if (this.#child !== undefined) await endProcessGroup(this.#child, STOP_GRACE_MS);
    await rm(this.socketPath, { force: true });
  }

  #launch(): void {
    this.#listening = this.#run();
    this.#listening.catch(() => {}); // whoever waits for it sees it
  }

  async #run(): Promise<void> {
    const { setup, logger } = this.#options;
    await makePrivateFolder(dirname(this.socketPath));
    await rm(this.socketPath, { force: true });
    const command = await commandThatEndsWithUs(setup, ["system", "service", "--time=0", `unix://${this.socketPath}`]);
    this.#closing.signal.throwIfAborted();
    const appeared = new SocketAppearance(this.socketPath);
    const child = spawn(command.program, command.args, {
      env: setup.environment,
      cwd: "/",
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    let words = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      words = (words + text).slice(-MAX_WORDS_BYTES);
    });
    const ended = once(child, "close").then(
      () => new AppError("engine_failed", `podman's service ended: ${words.trim() || `exit code ${child.exitCode}, ${child.signalCode}`}`),
      (error: unknown) => new AppError("engine_failed", `podman's service could not be started: ${String(error)}`, { cause: error }),
    );
    const failed = ended.then((error) => Promise.reject(error));
    try {
      await runLimited("listen", { timeoutMs: START_TIMEOUT_MS, signal: this.#closing.signal }, (signal) =>
        orAborted(Promise.race([appeared.untilListening(signal), failed]), signal),
      );
    } catch (error) {
      await endProcessGroup(child, STOP_GRACE_MS);
      throw error;
    } finally {
      appeared[Symbol.dispose]();
    }
    this.#backOff.reset();
    logger.debug("podman's service listens", { pid: child.pid, socket: this.socketPath });
    void ended.then((error) => this.#launchAgain(error));
  }

  #launchAgain(error: AppError): void {
    if (this.#closing.signal.aborted) return;
    this.#options.logger.warn("podman's service ended and is started again", { error });
    this.#listening = new Promise((resolve, reject) => {
      const retry = () => {
        this.#run().then(resolve, (again: AppError) => {
          reject(again);
          this.#launchAgain(again);
        });
      };
      this.#timer = this.#options.clock.after(this.#backOff.nextMs(), retry);
    });
    this.#listening.catch(() => {});
  }
}

/** The kernel sends it a signal when we end in any way, where util-linux can arrange that. */
async function commandThatEndsWithUs(setup: PodmanSetup, args: readonly string[]): Promise<{ program: string; args: string[] }> {
  const setpriv = await findProgram("setpriv", setup.environment["PATH"]);
  if (setpriv === undefined) return { program: setup.podman, args: [...args] };
  return { program: setpriv, args: ["--pdeathsig", "SIGTERM", setup.podman, ...args] };
}
