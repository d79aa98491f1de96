import { spawn } from "node:child_process";
import { endProcessGroup, type Clock } from "@hardshare/runtime";
import type { Running } from "../programs/supervised.ts";

const END_GRACE_MS = 200;
const MAX_WORDS = 500;

interface WatchedProgramOptions {
  argv: readonly [string, ...string[]];
  env: NodeJS.ProcessEnv;
  clock: Clock;
  /** It wrote something: each piece of it tells of one change or several. */
  onOutput: () => void;
}

/** A program that writes when something changes, until it is ended; it ends with this process. */
export function startWatchedProgram({ argv, env, clock, onOutput }: WatchedProgramOptions): Running {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...argv], {
    env,
    cwd: "/",
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.on("data", onOutput);
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-MAX_WORDS)));
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`\`${argv[0]}\` cannot be started: ${error.message}`));
    child.once("close", () => resolve(`\`${argv.join(" ")}\` ended: ${words.trim() || `exit code ${child.exitCode}`}`));
  });
  return { ended, [Symbol.asyncDispose]: () => endProcessGroup(child, END_GRACE_MS, clock) };
}
