import type { Readable, Writable } from "node:stream";
import type { Clock, Random } from "@hardshare/runtime";
import type { Environment } from "./environment.ts";
import type { Output } from "./output/output.ts";

/** What the whole program works with; made in `main.ts`. */
export interface CliContext {
  /** Arguments after the program's name. */
  args: readonly string[];
  environment: Environment;
  stdin: Readable;
  stdout: Writable & { isTTY?: boolean };
  stderr: Writable & { isTTY?: boolean };
  /** The program and arguments that start this command again, such as `[node, hardshare.js]`. */
  selfCommand: readonly [string, ...string[]];
  /** What people type to start this command, such as `npx hardshare`. */
  commandName: string;
  /** Aborted when the user or the system asks the program to end (SIGINT, SIGTERM, SIGHUP), or its supervisor is gone. */
  interrupted: AbortSignal;
  /** Until disposed, calls `take` on SIGHUP, which then does not end the program; but it does when its terminal is gone. */
  onHangUp: (take: () => void) => Disposable;
  /** Until disposed, calls `cut` on SIGUSR2, which otherwise ends the program. */
  onCutAsked: (cut: () => void) => Disposable;
  clock: Clock;
  random: Random;
}

/** Options that every verb takes. */
export interface GlobalOptions {
  format: "json" | "yaml" | "table";
  server?: string;
  tokenFile?: string;
  verbose?: boolean;
}

/** One run of one verb. */
export interface Invocation {
  context: CliContext;
  options: GlobalOptions;
  output: Output;
  /** Tells a failure on standard error, for verbs that go on after it, or whose exit code is not that of the failure. */
  tell(error: unknown, options?: { namesCode?: boolean }): void;
}
