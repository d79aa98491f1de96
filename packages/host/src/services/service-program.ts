import type { ChildProcess } from "node:child_process";
import { AppError, type FilterReport } from "@hardshare/protocol";
import { type Clock, Deferred, endProcessGroup, within } from "@hardshare/runtime";
import { ProgramOutput } from "../programs/program-output.ts";
import type { Running } from "../programs/supervised.ts";
import { HUNG_AFTER_MS, PulseWatch } from "./pulse-watch.ts";
import { ReportLines } from "./report-lines.ts";

/** How long a service may take to say where it listens. */
const FIRST_LINE_WITHIN_MS = 10_000;
const MAX_FIRST_LINE_BYTES = 256;
const LAST_WORDS_WITHIN_MS = 250;
/** How long a service that is to end may take after SIGTERM before its group is killed: it must not pass anything more. */
const END_GRACE_MS = 50;
/** Longest time for a filter to say that it cut all its connections: one that takes longer may pass something meanwhile. */
const CUT_WITHIN_MS = 500;
/** Characters of output that a service may write each second, for as long as it runs. */
const OUTPUT_CHARS_PER_SECOND = 4096;

interface ServiceAddress {
  host: string;
  port: number;
}

/** A service that said where it listens. */
export interface ServiceProgram extends Running {
  /** Where it serves now. */
  readonly address: ServiceAddress;
  /**
   * Has it cut all its connections and drop what it had read. One that does not say so in time, or can't be asked because
   * it never gave a report, has ended: it is killed when it is disposed of.
   * @returns whether it goes on
   */
  cutAll(): Promise<boolean>;
  /** Tells a filter to read its rules again; it answers with a `rules` report. */
  rereadRules(): void;
}

export interface StartServiceOptions {
  name: string;
  /** Starts its process. */
  launch(): Promise<ChildProcess>;
  clock: Clock;
  signal: AbortSignal;
  onOutput: (text: string) => void;
  /** Whether it is a filter of ours, which gives pulses from the beginning; another program is judged by them once it gave one. */
  givesPulses: boolean;
  /** What a filter says of itself on standard error; any service may. */
  onReport: (report: FilterReport) => void;
}

/**
 * Starts a service: a program that prints `host:port` on its first line of standard output, then serves. One that gives
 * pulses has ended as soon as they stay away: it hangs, and is killed when it is disposed of.
 * @throws AppError `program_failed` when it ends, or says something else, or nothing for 10 s; `cancelled` when aborted
 */
export async function startServiceProgram(options: StartServiceOptions): Promise<ServiceProgram> {
  const { name, clock, signal } = options;
  const output = new ProgramOutput({ emit: options.onOutput, clock, refillPerSecond: OUTPUT_CHARS_PER_SECOND });
  const child = await options.launch();
  child.on("error", () => {}); // it can't be signalled: it became another user's
  let giveUp: (how: string) => void = () => {};
  let canTell = options.givesPulses;
  let address: ServiceAddress | undefined;
  let onCut = () => {};
  let cutting: Promise<boolean> | undefined;
  const pulses = new PulseWatch({
    clock,
    onHung: () => giveUp(`service ${name} gave no sign of life for ${HUNG_AFTER_MS / 1000} s: it hangs and is killed`),
  });
  const lines = new ReportLines({
    onReport: (report) => {
      canTell = true;
      if (report.type === "pulse") pulses.pulse();
      // Where another program says that it serves may be a text of its user's.
      if (report.type === "cut" && options.givesPulses) address = readAddress(report.address) ?? address;
      if (report.type === "cut") onCut();
      options.onReport(report);
    },
    onText: (chunk) => output.write(chunk, "stderr"),
  });
  child.stderr?.on("data", (chunk: Buffer) => lines.write(chunk));
  const ended = new Promise<string>((resolve) => {
    giveUp = resolve;
    // Not "close": a process that it left behind may hold its output open.
    child.once("exit", () => {
      pulses[Symbol.dispose]();
      lines.flush();
      output.flush();
      const how = child.exitCode === null ? `was killed by ${child.signalCode}` : `ended with exit code ${child.exitCode}`;
      resolve(`service ${name} ${how}`);
    });
  });
  const end = async () => {
    pulses[Symbol.dispose]();
    await endProcessGroup(child, END_GRACE_MS, clock);
    child.stdout?.destroy();
    child.stderr?.destroy();
    output.flush();
  };
  const askToCut = async () => {
    if (canTell) {
      const cut = new Deferred<boolean>();
      onCut = () => cut.resolve(true);
      child.kill("SIGUSR2");
      const answer = await within(clock, CUT_WITHIN_MS, Promise.race([cut.promise, ended.then(() => false)]));
      if (answer !== undefined) return answer;
    }
    giveUp(`service ${name} does not say that it dropped what it had read`);
    return false;
  };
  try {
    const line = await readFirstLine(child, { name, ended, clock, signal, onRest: (chunk) => output.write(chunk, "stdout") });
    const first = parseAddress(line, name);
    if (options.givesPulses) pulses.begin();
    return {
      get address() {
        return address ?? first;
      },
      ended,
      rereadRules: () => void child.kill("SIGHUP"),
      // One question at a time: of signals that follow each other quickly the process gets one.
      cutAll: () => (cutting ??= askToCut().finally(() => (cutting = undefined))),
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    if (child.exitCode !== null) await lastWords(child, clock);
    await end();
    if (!(error instanceof AppError) || output.tail === "") throw error;
    throw new AppError(error.code, `${error.message}\n${output.tail}`, { cause: error });
  }
}

async function readFirstLine(
  child: ChildProcess,
  options: { name: string; ended: Promise<string>; clock: Clock; signal: AbortSignal; onRest(chunk: Buffer): void },
): Promise<string> {
  const { name, clock, signal } = options;
  return new Promise((resolve, reject) => {
    let gathered = Buffer.alloc(0);
    let isDone = false;
    const fail = (message: string) => reject(new AppError("program_failed", message));
    const timer = clock.after(FIRST_LINE_WITHIN_MS, () =>
      fail(`service ${name} did not print host:port on its first line within ${FIRST_LINE_WITHIN_MS / 1000} s`),
    );
    const cancel = () => reject(new AppError("cancelled", `starting service ${name} was cancelled`));
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    void options.ended.then((how) => fail(`${how} before it printed host:port`));
    child.stdout?.on("data", (chunk: Buffer) => {
      if (isDone) return options.onRest(chunk);
      gathered = Buffer.concat([gathered, chunk]);
      const end = gathered.indexOf(0x0a);
      if (end < 0 && gathered.length <= MAX_FIRST_LINE_BYTES) return;
      isDone = true;
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", cancel);
      resolve(gathered.toString("utf8", 0, end < 0 ? MAX_FIRST_LINE_BYTES : end));
      if (end >= 0 && end + 1 < gathered.length) options.onRest(gathered.subarray(end + 1));
    });
    child.once("close", () => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", cancel);
    });
  });
}

/** Waits until the output of a program that has ended is read, but not for what a process that it left behind may write. */
async function lastWords(child: ChildProcess, clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.after(LAST_WORDS_WITHIN_MS, resolve);
    child.once("close", () => {
      timer[Symbol.dispose]();
      resolve();
    });
  });
}

function parseAddress(line: string, name: string): ServiceAddress {
  const address = readAddress(line.trim());
  if (address !== undefined) return address;
  throw new AppError(
    "program_failed",
    `service ${name} printed ${JSON.stringify(line.slice(0, 100))} on its first line; expected host:port`,
  );
}

function readAddress(text: string): ServiceAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
