import type { Writable } from "node:stream";
import { AppError, FILTER_PULSE_EVERY_MS } from "@hardshare/protocol";
import { type Clock, Deferred, type Logger, Turns } from "@hardshare/runtime";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { fixedRules, type LiveRules, readRules } from "../rules/live-rules.ts";
import { DecisionLog } from "./decision-log.ts";
import { DecisionsFile } from "./decisions-file.ts";
import type { FilterKind, RunningFilter } from "./filter-kind.ts";
import { Pulse } from "./pulse.ts";
import { ReportWriter } from "./report-writer.ts";

export interface RunFilterOptions<Rules> {
  readonly kind: FilterKind<Rules>;
  /** Undefined for a kind that can do without. */
  readonly rulesFile: string | undefined;
  /** Address to listen at. */
  readonly host: string;
  /** Port to listen at; 0 for a free one. */
  readonly port: number;
  /** Where budgets are written down, so that a crash can't refill them; undefined: in memory only. */
  readonly stateFile: string | undefined;
  /** Where every decision is written down with its message, for `filter learn`; undefined: nowhere. */
  readonly decisionsFile: string | undefined;
  /** Gets one line: the `host:port` at which the filter serves. */
  readonly stdout: Writable;
  /** Gets reports as lines of JSON (`FilterReport`). */
  readonly stderr: Writable;
  /** From now on calls `reload` when the rules file is to be read again (SIGHUP). */
  readonly onReloadAsked: (reload: () => void) => Disposable;
  /** From now on calls `cut` when nothing of what was read may pass any more (SIGUSR2). */
  readonly onCutAsked: (cut: () => void) => Disposable;
  /** Ends the filter. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Longest problem of a rules file that is reported, in characters. */
const MAX_PROBLEM_CHARS = 8000;

/**
 * A kind of filter as a program: prints its address on the first line of standard output, serves until `signal` is
 * aborted, and tells on standard error what it decides, twice a second that it lives, what came of each reload, and that
 * it cut all connections when it was asked to.
 * @throws AppError `config_invalid` (rules file, state file), `port_in_use`, `not_configured`, and what the kind throws
 */
export async function runFilter<Rules>(options: RunFilterOptions<Rules>): Promise<void> {
  const { kind, clock, logger, host, port, signal } = options;
  using book = openBudgetBook({ file: options.stateFile, clock });
  const limits = new LimitKeeper({ clock, book });
  const rules = await readRulesOf(kind, options.rulesFile, limits);
  const reports = new ReportWriter(options.stderr);
  using file = options.decisionsFile === undefined ? undefined : DecisionsFile.open(options.decisionsFile, { clock, logger });
  using log = new DecisionLog({ filter: kind.name, reports, clock });
  using pulse = new Pulse({ reports, clock, everyMs: FILTER_PULSE_EVERY_MS });
  await using filter = await kind.start({
    host,
    port,
    rules,
    clock,
    logger,
    onDecision: (judgement) => {
      file?.write(judgement);
      log.add(judgement);
      pulse.count(judgement);
    },
  });
  using _asked = options.onReloadAsked(reloadInTurn({ rules, filter, reports, clock }));
  const broken = new Deferred<never>();
  broken.promise.catch(() => {}); // when it has ended already
  using _cutAsked = options.onCutAsked(cutInTurn({ filter, reports, clock }, broken.reject));
  options.stdout.write(`${filter.address}\n`);
  const ended = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  if (!signal.aborted) await Promise.race([ended, broken.promise]);
}

async function readRulesOf<Rules>(kind: FilterKind<Rules>, file: string | undefined, limits: LimitKeeper): Promise<LiveRules<Rules>> {
  if (file !== undefined) return readRules(file, (text, name) => kind.parseRules(text, name, limits));
  if (kind.withoutFile !== undefined) return fixedRules(kind.withoutFile);
  throw new AppError("bad_input", `rules: expected a rules file for the filter ${kind.name}`, { details: { field: "rules" } });
}

/** Cuts all connections, one time after the other, and tells where it serves afterwards. */
function cutInTurn(
  running: { filter: RunningFilter; reports: ReportWriter; clock: Clock },
  onFailed: (error: unknown) => void,
): () => void {
  const { filter, reports, clock } = running;
  const turns = new Turns(1);
  const cut = async () => {
    await filter.cutAll();
    reports.write({ type: "cut", at: new Date(clock.now()).toISOString(), address: filter.address });
  };
  return () => void turns.take(cut).catch(onFailed);
}

/** Reads the rules again, one time after the other, and tells what came of each. */
function reloadInTurn(running: { rules: LiveRules<unknown>; filter: RunningFilter; reports: ReportWriter; clock: Clock }): () => void {
  const { rules, filter, reports, clock } = running;
  let last = Promise.resolve();
  return () => {
    last = last
      .then(() => rules.reload())
      .then(() => filter.judgeAgain?.())
      .then(
        () => undefined,
        (error: unknown) => (error as Error).message.slice(0, MAX_PROBLEM_CHARS),
      )
      .then((problem) =>
        reports.write({ type: "rules", at: new Date(clock.now()).toISOString(), ...(problem === undefined ? {} : { problem }) }),
      );
  };
}
