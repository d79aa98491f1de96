import { AppError, type StepPhase, toAppError } from "@hardshare/protocol";
import type { Clock, Failpoints } from "@hardshare/runtime";
import { failpointOf, type Plan } from "./plan.ts";

/** What a step gets to work with. */
export interface StepContext {
  /** Aborted when the step is to stop, because another failed or the launch was cancelled. */
  signal: AbortSignal;
  /** Output of programs. */
  log: (text: string) => void;
}

/** Does one step. Throwing fails it; the message, and `details.log` if any, are reported. */
export type StepAction = (context: StepContext) => Promise<void>;

export interface StepReporter {
  step(step: string, phase: StepPhase, facts: { ms?: number; log?: string }): void;
  log(step: string, text: string): void;
}

interface ExecuteOptions<Name extends string> {
  plan: Plan<Name>;
  actions: Readonly<Record<Name, StepAction>>;
  reporter: StepReporter;
  failpoints: Failpoints;
  clock: Clock;
}

/** A launch step, and why it failed. */
export interface StepFailure {
  step: string;
  error: AppError;
}

/** A launch that was cancelled may have failed as well: by a failure that locks the deployment out. */
export type LaunchOutcome = { kind: "done" } | { kind: "cancelled"; failure?: StepFailure } | ({ kind: "failed" } & StepFailure);

interface LaunchOptions<Name extends string> extends ExecuteOptions<Name> {
  /** Aborted when the launch is cancelled. */
  signal: AbortSignal;
  /** Aborted, with a `StepFailure` as its reason, when what a step made broke after it was done. */
  broken: AbortSignal;
}

/**
 * Walks a launch plan. The first failure, or a signal, stops the steps that run; the outcome is told when all of them
 * have stopped, so that nothing works on while the end plan undoes it.
 */
export async function executeLaunch<Name extends string>(options: LaunchOptions<Name>): Promise<LaunchOutcome> {
  const { plan, actions, reporter, failpoints, clock, broken } = options;
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, broken, stop.signal]);
  let failure: StepFailure | undefined;
  await walk(plan, async (name) => {
    if (signal.aborted) return;
    const startedAt = clock.monotonicMs();
    reporter.step(name, "started", {});
    try {
      await failpoints.pass(failpointOf("launch", name, "before"));
      signal.throwIfAborted();
      await actions[name]({ signal, log: (text) => reporter.log(name, text) });
      await failpoints.pass(failpointOf("launch", name, "after"));
      reporter.step(name, "done", { ms: clock.monotonicMs() - startedAt });
    } catch (thrown) {
      const ms = clock.monotonicMs() - startedAt;
      const error = toAppError(thrown);
      // A step that was stopped did not fail: the reason is elsewhere. What locks the deployment out does so all the same.
      if (signal.aborted && !isLocking(error)) return reporter.step(name, "skipped", { ms });
      if (failure === undefined || (isLocking(error) && !isLocking(failure.error))) failure = { step: name, error };
      stop.abort();
      reporter.step(name, "failed", { ms, log: describe(error) });
    }
  });
  if (broken.aborted) {
    const { step, error } = broken.reason as StepFailure;
    reporter.step(step, "failed", { log: describe(error) });
    failure ??= { step, error };
  }
  if (options.signal.aborted) return { kind: "cancelled", ...(failure === undefined ? {} : { failure }) };
  return failure === undefined ? { kind: "done" } : { kind: "failed", ...failure };
}

/** Whether a failure locks the deployment out. */
export function isLocking(error: AppError): boolean {
  return error.details["locks"] === true;
}

/** Steps of an end plan that are work of their own; the others undo a launch step, and are reported as its undoing. */
const OWN_STEPS: ReadonlySet<string> = new Set(["safe_state", "terminate", "baseline", "verify"]);

/**
 * Walks an end plan to its end, whatever fails: a step that fails leaves its residue, and the others go on.
 * @returns what is left, in words; empty when nothing is
 */
export async function executeEnd<Name extends string>(options: ExecuteOptions<Name>): Promise<string[]> {
  const { plan, actions, reporter, failpoints, clock } = options;
  const residue: string[] = [];
  const never = new AbortController().signal;
  await walk(plan, async (name) => {
    const isOwn = OWN_STEPS.has(name);
    const startedAt = clock.monotonicMs();
    if (isOwn) reporter.step(name, "started", {});
    try {
      await failpoints.pass(failpointOf("end", name, "before"));
      await actions[name]({ signal: never, log: (text) => reporter.log(name, text) });
      await failpoints.pass(failpointOf("end", name, "after"));
      reporter.step(name, isOwn ? "done" : "undone", { ms: clock.monotonicMs() - startedAt });
    } catch (error) {
      const failure = toAppError(error);
      residue.push(`${name}: ${failure.message}`);
      reporter.step(name, isOwn ? "failed" : "undo_failed", { ms: clock.monotonicMs() - startedAt, log: describe(failure) });
    }
  });
  return residue;
}

/** Runs each step once those before it have settled. */
async function walk<Name extends string>(plan: Plan<Name>, run: (name: Name) => Promise<void>): Promise<void> {
  const settled = new Map<Name, Promise<void>>();
  const settle = (name: Name): Promise<void> => {
    const known = settled.get(name);
    if (known !== undefined) return known;
    const step = plan.find((step) => step.name === name);
    if (step === undefined) throw new AppError("internal", `the plan has no step ${name}`);
    const promise = Promise.all(step.after.map(settle)).then(() => run(name));
    settled.set(name, promise);
    return promise;
  };
  await Promise.all(plan.map((step) => settle(step.name)));
}

/** Message and last lines of output of what went wrong. */
export function describe(error: AppError): string {
  const log = error.details["log"];
  return (typeof log === "string" && log !== "" ? `${error.message}\n${log}` : error.message).slice(0, MAX_DESCRIPTION_CHARS);
}
const MAX_DESCRIPTION_CHARS = 8000;
