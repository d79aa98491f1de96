import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The command as users run it: built, started by Node. */
export const HARDSHARE = fileURLToPath(new URL("../../packages/cli/bin/hardshare.js", import.meta.url));

export interface CommandResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  env?: Record<string, string>;
  input?: string;
  cwd?: string;
  /** Kills the command when aborted. */
  signal?: AbortSignal;
}

/** Runs a program to its end. Never rejects for an exit code. */
export async function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawn(command, args, {
    env: cleanEnvironment(options.env),
    cwd: options.cwd,
    signal: options.signal,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on("error", () => {}); // a command that does not read its input
  child.stdin.end(options.input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: stdout(), stderr: stderr() };
}

/** Runs a program and expects exit code 0. @returns its standard output */
export async function expectSuccess(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const result = await run(command, args, options);
  if (result.code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${result.code}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}

/** A long-running `hardshare …` that, unless its format is another one, prints one JSON line on standard output when it is ready. */
export class RunningCommand<Ready> implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ready: Promise<Ready>;
  readonly ended: Promise<number | null>;
  /** Whether what runs the command has it as a child. */
  readonly #isForked: boolean;
  #stdout = "";
  #stderr = "";

  /** @param options.within a command that runs the one which follows it, such as `unshare …` @param options.program the installed command, else the checkout's */
  constructor(
    args: readonly string[],
    env: Record<string, string>,
    { format = "json", within = [], program = HARDSHARE }: { format?: "json" | "table"; within?: readonly string[]; program?: string } = {},
  ) {
    this.#isForked = within.includes("--fork");
    const [first, ...rest] = [...within, process.execPath, program, ...args, "--format", format];
    this.child = spawn(first, rest, {
      env: cleanEnvironment(env),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.child.stdout?.on("data", (chunk: Buffer) => (this.#stdout += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-100_000)));
    this.ended = new Promise((resolve) => this.child.once("close", (code) => resolve(code)));
    this.ready = this.#firstLine(args[0] ?? "");
    this.ready.catch(() => {});
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** All that it said on standard output so far. */
  get output(): string {
    return this.#stdout;
  }

  /** The end of what it said on standard error so far. */
  get log(): string {
    return this.#stderr;
  }

  /** Resolves when it has said this on standard output, with all that it said there. */
  async untilOutput(text: string): Promise<string> {
    const said = new Promise<string>((resolve) => {
      const look = () => {
        if (!this.#stdout.includes(text)) return;
        this.child.stdout?.off("data", look);
        resolve(this.#stdout);
      };
      this.child.stdout?.on("data", look);
      look();
    });
    const early = this.ended.then(() => {
      throw new Error(`ended before it said ${text}\n${this.#stderr}`);
    });
    return Promise.race([said, early]);
  }

  /** Resolves with the next line on standard error that matches. Call it before what causes the line. */
  async untilLog(pattern: RegExp): Promise<string> {
    const { stderr } = this.child;
    if (stderr === null) throw new Error("no standard error");
    let text = "";
    const line = new Promise<string>((resolve) => {
      const look = (chunk: Buffer) => {
        text += chunk.toString();
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        const found = lines.find((candidate) => pattern.test(candidate));
        if (found === undefined) return;
        stderr.off("data", look);
        resolve(found);
      };
      stderr.on("data", look);
    });
    const early = this.ended.then(() => {
      throw new Error(`ended before it said ${pattern}\n${this.#stderr}`);
    });
    return Promise.race([line, early]);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.signal(signal);
    return this.ended;
  }

  /** Sends a signal to the command itself, not to what runs it. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.#isForked ? Number(readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8")) : this.pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #firstLine(name: string): Promise<Ready> {
    let text = "";
    const line = new Promise<string>((resolve) => {
      this.child.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        const end = text.indexOf("\n");
        if (end >= 0) resolve(text.slice(0, end));
      });
    });
    const first = await Promise.race([
      line,
      this.ended.then((code) => {
        throw new Error(`hardshare ${name} ended with ${code} before it was ready\n${this.#stderr}`);
      }),
    ]);
    return JSON.parse(first) as Ready;
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return () => text;
}

/** This process's environment without what belongs to the test runner or to a user's own hardshare. */
export function cleanEnvironment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(VITEST|HARDSHARE|NODE_OPTIONS|TEST$)/.test(name));
  return { ...Object.fromEntries(kept), ...more };
}
