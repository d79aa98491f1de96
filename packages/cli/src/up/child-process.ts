import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { AppError, ERROR_CATALOGUE, type ErrorCode } from "@hardshare/protocol";
import { LIFELINE_VARIABLE } from "@hardshare/runtime";

/** How one of the programs of `up` is started. */
export interface ChildOptions {
  /** For log lines: `server`. */
  name: string;
  command: readonly [string, ...string[]];
  variables: Record<string, string | undefined>;
  /** Where its log lines go, each behind its name. */
  log: Writable;
  /** A file that it holds open as long as it lives; see `FileLock` of runtime. */
  heldDescriptor?: number;
}

/**
 * One program as a child of this process, in a group of its own, so that Ctrl-C on the terminal reaches it through us
 * and in our order. Its standard input is its lifeline: when this process ends, however, the child ends itself.
 */
export class Child {
  readonly name: string;
  /** Resolves when it has ended, with what it ended with. */
  readonly ended: Promise<string>;
  readonly #process: ChildProcess;
  readonly #firstLine: Promise<string>;
  #lastError: { code: string; message: string } | undefined;

  constructor(options: ChildOptions) {
    this.name = options.name;
    const [program, ...args] = options.command;
    const child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe", options.heldDescriptor ?? "ignore"],
      detached: true,
      env: { ...options.variables, [LIFELINE_VARIABLE]: "1" },
    }) as ChildProcessByStdio<Writable, Readable, Readable>;
    this.#process = child;
    child.stdin.on("error", () => {});
    this.#firstLine = new Promise((resolve) => createInterface(child.stdout).once("line", resolve));
    this.#passLog(child.stderr, options.log);
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", (code, signal) => resolve(signal === null ? `exit code ${code}` : `killed by ${signal}`));
    });
  }

  get isRunning(): boolean {
    return this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** What it says when it is ready: one JSON line. @throws AppError its own failure, when it ends before */
  async ready(): Promise<unknown> {
    const ended = this.ended.then((how): never => {
      throw this.#failure(how);
    });
    return JSON.parse(await Promise.race([this.#firstLine, ended]));
  }

  /** Asks it to end and waits until it has; kills it after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    if (!this.isRunning) return;
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), graceMs);
    this.#process.kill("SIGTERM");
    await this.ended; // after its last log line
    clearTimeout(timer);
  }

  #passLog(stderr: Readable, log: Writable): void {
    createInterface(stderr).on("line", (line) => {
      this.#lastError = readError(line) ?? this.#lastError;
      log.write(`[${this.name}] ${line}\n`);
    });
  }

  #failure(how: string): AppError {
    const { code = "internal", message = `see its log lines, marked [${this.name}]` } = this.#lastError ?? {};
    const known: ErrorCode = Object.hasOwn(ERROR_CATALOGUE, code) ? (code as ErrorCode) : "internal";
    return new AppError(known, `${this.name} did not start (${how}): ${message}`, { details: { program: this.name } });
  }
}

/** The failure that a program tells with `--format json`. */
function readError(line: string): { code: string; message: string } | undefined {
  if (!line.startsWith('{"error":')) return undefined;
  try {
    const { error } = JSON.parse(line) as { error?: { code?: unknown; message?: unknown } };
    return typeof error?.code === "string" && typeof error.message === "string" ? { code: error.code, message: error.message } : undefined;
  } catch {
    return undefined;
  }
}
