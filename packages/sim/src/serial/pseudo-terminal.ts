import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { lstat } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { AppError } from "@hardshare/protocol";
import { runProgram } from "@hardshare/runtime";

/** A pseudo-terminal: clients open the device file, and what they write comes out at `output`. */
export interface PseudoTerminal extends AsyncDisposable {
  /** What clients of the device file read. */
  readonly input: Writable;
  /** What clients of the device file wrote. */
  readonly output: Readable;
  /** Settles when it has ended, whatever the cause. */
  readonly ended: Promise<void>;
}

/** Whether socat can be run; else what to do. */
export async function findSocatProblem(): Promise<string | null> {
  return (await canRun("socat", ["-V"])) ? null : "there is no serial line without socat: install it (Debian: apt-get install socat)";
}

/**
 * Makes a pseudo-terminal with socat, since Node has no openpty, and a link to its device file; resolves when it can be
 * opened. socat ends with this process, however that ends: by its standard input, and by a signal from the kernel where
 * setpriv is at hand.
 * @param link path of the link; a link that is there is replaced
 * @throws AppError `bad_input` when something else is at that path, `program_failed` with socat's own words
 */
export async function openPseudoTerminal(link: string): Promise<PseudoTerminal> {
  await requireFreePath(link);
  const socat = ["socat", "-d", "-d", `PTY,rawer,link=${link.replace(/[^\w./-]/g, "\\$&")}`, "STDIO"];
  const [command = "", ...args] = (await canRun("setpriv", ["--version"])) ? ["setpriv", "--pdeathsig", "TERM", ...socat] : socat;
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {}); // "exit" follows
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  await waitUntilReady(child, child.stderr, ended);
  return {
    input: child.stdin,
    output: child.stdout,
    ended,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM"); // socat removes the link
      await ended;
    },
  };
}

async function waitUntilReady(child: ChildProcess, stderr: Readable, ended: Promise<void>): Promise<void> {
  let said = "";
  const isReady = new Promise<boolean>((resolve) => {
    stderr.on("data", (chunk: Buffer) => {
      if (said.length < MAX_WORDS) said += chunk.toString();
      // The last notice of its start; `-d -d` makes socat give it.
      if (said.includes("starting data transfer loop")) resolve(true);
    });
  });
  const isOver = Promise.all([ended, once(stderr, "end")]).then(() => false);
  if (await Promise.race([isReady, isOver])) return;
  child.kill("SIGKILL");
  const errors = said.split("\n").filter((line) => / [EF] /.test(line));
  throw new AppError("program_failed", `socat could not make the serial line: ${errors.join("; ") || "it ended at once"}`);
}

/** How much of what socat says is kept. */
const MAX_WORDS = 8192;

async function requireFreePath(link: string): Promise<void> {
  const found = await lstat(link).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new AppError("bad_input", `serial link: ${link} can't be used: ${error.message}`, { cause: error });
  });
  if (found !== undefined && !found.isSymbolicLink()) {
    throw new AppError("bad_input", `serial link: expected a free path, but ${link} exists and is not a link`, {
      details: { field: "serialLink" },
    });
  }
}

async function canRun(command: string, args: string[]): Promise<boolean> {
  try {
    return (await runProgram(command, args)).exitCode === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
