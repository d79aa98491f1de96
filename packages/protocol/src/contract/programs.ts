import * as z from "zod";
import { DurationSeconds } from "../durations.ts";

/** Seconds a lifecycle program may take unless its entry says otherwise. */
export const DEFAULT_PROGRAM_TIMEOUT_S = 120;

/** What every command line has to be. */
export const NOT_BLANK = /\S/;

/** A program and its arguments, split at blanks without a shell. */
export const CommandLine = z.string().regex(NOT_BLANK, "expected a program");

/** What a failing program means: go on with a warning, end the instance, or lock the deployment. */
export const OnFail = z.enum(["warn", "end", "lock"]);
export type OnFail = z.infer<typeof OnFail>;

/** One lifecycle program: a shell-free command line split at blanks, or its long form. */
export const LifecycleProgram = z
  .union([
    CommandLine,
    z.strictObject({
      run: CommandLine.describe("The command line, split at blanks without a shell."),
      timeout: DurationSeconds.optional().describe("Longest time it may take; default 120s."),
      on_fail: OnFail.optional().describe(
        "`end` (default before READY), `lock` (default at the end, for baseline and for safe_state), or `warn` to go on.",
      ),
    }),
  ])
  .transform((entry) => (typeof entry === "string" ? { run: entry } : entry))
  .describe("A program, split at blanks without a shell, or its long form with `timeout` (default 120s) and `on_fail`.");
export type LifecycleProgram = { run: string; timeout?: number | undefined; on_fail?: OnFail | undefined };
