import * as z from "zod";
import { DurationSeconds } from "../durations.ts";
import { CommandLine } from "./programs.ts";

/** Seconds from one run of a monitor to the next, unless its entry says otherwise. */
const DEFAULT_MONITOR_EVERY_S = 60;
/** Seconds that one look at the hardware may take, unless its entry says otherwise. */
const DEFAULT_LOOK_TIMEOUT_S = 30;
/** Seconds between two questions whether the hardware may be used again. */
const DEFAULT_COOLDOWN_EVERY_S = 30;
/** Each look is a process: more often it would keep a small computer busy. */
const MIN_EVERY_S = 1;

const Every = DurationSeconds.refine((seconds) => seconds >= MIN_EVERY_S, "expected at least 1s");
const LookTimeout = DurationSeconds.default(DEFAULT_LOOK_TIMEOUT_S).describe(
  "Longest time one run may take; one that takes longer is killed and has failed. Default 30s.",
);

/** What a failing monitor means, beside an alert: lock the deployment, nothing more, or end the instance. */
export const OnMonitorFail = z.enum(["lock", "alert", "terminate"]);
export type OnMonitorFail = z.infer<typeof OnMonitorFail>;

const MonitorFields = z.strictObject({
  run: CommandLine.describe("The command line, split at blanks without a shell; exit code 0 is healthy."),
  every: Every.default(DEFAULT_MONITOR_EVERY_S).describe("From the beginning of one run to that of the next; default 60s."),
  timeout: LookTimeout,
  on_fail: OnMonitorFail.default("lock").describe(
    "`lock` (default) locks the deployment until its owner unlocks it; `alert` only tells the owner; `terminate` ends the " +
      "instance, and there is none until the monitor passes again. Each of them alerts.",
  ),
});

/** A program that looks, from time to time, whether the hardware is well. */
export const Monitor = z
  .union([CommandLine, MonitorFields])
  .transform((entry) => (typeof entry === "string" ? MonitorFields.parse({ run: entry }) : entry))
  .describe("A program, split at blanks without a shell, or its long form with `every`, `timeout` and `on_fail`.");
export type Monitor = z.infer<typeof Monitor>;

const CooldownProgram = z.strictObject({
  run: CommandLine.describe("The command line, split at blanks without a shell; exit code 0: ready for the next instance."),
  every: Every.default(DEFAULT_COOLDOWN_EVERY_S).describe("How often it is asked until it says yes; default 30s."),
  timeout: LookTimeout,
});

/** How long the hardware rests after each instance: a time, or a program that says when it is over. */
export const Cooldown = z
  .union([DurationSeconds, CooldownProgram])
  .describe("How long the hardware rests after each instance: a time such as `5m`, or a program that says when.");
export type Cooldown = z.infer<typeof Cooldown>;
