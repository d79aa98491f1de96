import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { AppError } from "@hardshare/protocol";
import { signalGroup } from "@hardshare/runtime";

/** Lines kept for the message of a failure. */
const MAX_LAST_LINES = 12;
/** Longest line kept or told. */
const MAX_LINE_CHARACTERS = 500;
/** Milliseconds that a program has to clean up (mmdebstrap removes its folder) when it is stopped. */
const STOP_GRACE_MS = 10_000;
/** How a program is started so that the kernel ends it when we end in any way (util-linux). */
const ENDING_WITH_US = {
  alone: ["setpriv", "--pdeathsig", "SIGTERM"],
  // in a process namespace of its own, which ends with all that runs in it
  withDescendants: ["setpriv", "--pdeathsig", "SIGKILL", "unshare", "--fork", "--pid", "--mount-proc", "--kill-child"],
};

export interface ProgressProgramOptions {
  /** Whether it starts programs that would outlive it. Takes root. */
  hasDescendants?: boolean;
  environment: NodeJS.ProcessEnv;
  /** Called with each line of standard error. */
  onLine: (line: string) => void;
  signal: AbortSignal;
}

/** A long-running program whose standard error is told line by line; its standard input and output are the caller's. */
export class ProgressProgram implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #lastLines: string[] = [];
  readonly #closed: Promise<unknown>;

  constructor(command: string, args: readonly string[], input: "ignore" | "pipe", options: ProgressProgramOptions) {
    this.#name = command.slice(command.lastIndexOf("/") + 1);
    this.#signal = options.signal;
    const [starter = command, ...starterArgs] = ENDING_WITH_US[options.hasDescendants === true ? "withDescendants" : "alone"];
    this.child = spawn(starter, [...starterArgs, command, ...args], {
      env: options.environment,
      cwd: "/",
      detached: true,
      stdio: [input, "pipe", "pipe"],
    });
    this.#closed = once(this.child, "close");
    this.#closed.catch(() => {}); // seen by `untilDone`
    if (this.child.stderr !== null) {
      createInterface({ input: this.child.stderr }).on("line", (line) => {
        const text = line.slice(0, MAX_LINE_CHARACTERS);
        this.#lastLines.push(text);
        if (this.#lastLines.length > MAX_LAST_LINES) this.#lastLines.shift();
        options.onLine(text);
      });
    }
    options.signal.addEventListener("abort", this.#stop, { once: true });
  }

  readonly #stop = () => void this.#end();

  /** Resolves when it ended well; throws `program_failed` with its last lines otherwise, the signal's reason when stopped. */
  async untilDone(): Promise<void> {
    try {
      await this.#closed;
    } catch (error) {
      throw new AppError("program_failed", `${this.#name} could not be started: ${String(error)}`, { cause: error });
    }
    this.#signal.throwIfAborted();
    if (this.child.exitCode === 0) return;
    const end = this.child.signalCode ?? `exit code ${this.child.exitCode}`;
    throw new AppError("program_failed", `${this.#name} failed (${end}): ${this.#lastLines.join("\n")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal.removeEventListener("abort", this.#stop);
    await this.#end();
  }

  /** Interrupts it as a person would by Ctrl-C: podman cleans up on that, but not on SIGTERM. */
  async #end(): Promise<void> {
    const { pid, exitCode, signalCode } = this.child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    signalGroup(pid, "SIGINT");
    const timer = setTimeout(() => signalGroup(pid, "SIGKILL"), STOP_GRACE_MS);
    await this.#closed.catch(() => {});
    clearTimeout(timer);
  }
}
