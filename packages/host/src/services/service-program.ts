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
   * Has it cut all its connections and drop what it had read.
   * @returns "cut" when it says that it did; "ended" when it ends; "silence" when it says nothing in time, or gave no
   *   report before, so that it is not asked
   */
  cutAll(): Promise<"cut" | "ended" | "silence">;
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
  let tellHung = () => {};
  let canTell = options.givesPulses;
  let address: ServiceAddress | undefined;
  const cutAsked: Deferred[] = [];
  const pulses = new PulseWatch({ clock, onHung: () => tellHung() });
  const lines = new ReportLines({
    onReport: (report) => {
      canTell = true;
      if (report.type === "pulse") pulses.pulse();
      if (report.type === "cut") {
        address = readAddress(report.address) ?? address;
        cutAsked.shift()?.resolve();
      }
      options.onReport(report);
    },
    onText: (chunk) => output.write(chunk, "stderr"),
  });
  child.stderr?.on("data", (chunk: Buffer) => lines.write(chunk));
  const ended = new Promise<string>((resolve) => {
    tellHung = () => resolve(`service ${name} gave no sign of life for ${HUNG_AFTER_MS / 1000} s: it hangs and is killed`);
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
  const cutAll = async () => {
    if (!canTell) return "silence";
    const cut = new Deferred();
    cutAsked.push(cut);
    child.kill("SIGUSR2");
    const answer = Promise.race([cut.promise.then(() => "cut" as const), ended.then(() => "ended" as const)]);
    return (await within(clock, CUT_WITHIN_MS, answer)) ?? "silence";
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
      cutAll,
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
