import type { ChildProcess } from "node:child_process";
import { type Clock, endProcessGroup, type Logger } from "@hardshare/runtime";
import type { ProgramPlace } from "../programs/program-place.ts";
import { startProgram } from "../programs/run-program.ts";

/** After one was taken the processor belongs to the launch that took it, for about so long. */
const NEXT_AFTER_MS = 250;
const END_GRACE_MS = 50;

/**
 * One filter process that is loaded and waits to be told what it is to filter: Node takes longer to start than all else
 * that a launch without a container does. While it waits it judges nothing, listens nowhere, and ends with the daemon,
 * by its standard input.
 */
export class SpareFilter implements AsyncDisposable {
  readonly #options: { selfCommand: readonly string[]; place: ProgramPlace; clock: Clock; logger: Logger };
  #waiting: Promise<ChildProcess | undefined> | undefined;
  #next: Disposable | undefined;
  #isClosed = false;

  constructor(options: { selfCommand: readonly string[]; place: ProgramPlace; clock: Clock; logger: Logger }) {
    this.#options = options;
  }

  /** Has one wait, unless one does. */
  prepare(): void {
    this.#next?.[Symbol.dispose]();
    if (this.#isClosed || this.#waiting !== undefined) return;
    this.#waiting = this.#start();
  }

  /** The one that waits, told to be `filter run` with these arguments; undefined when there is none. */
  async take(args: readonly string[]): Promise<ChildProcess | undefined> {
    const waiting = this.#waiting;
    this.#waiting = undefined; // at once: another service of the contract may ask at the same time
    const child = await waiting;
    this.#next?.[Symbol.dispose]();
    this.#next = this.#options.clock.after(NEXT_AFTER_MS, () => this.prepare());
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return undefined;
    if (this.#isClosed) {
      await endProcessGroup(child, END_GRACE_MS, this.#options.clock);
      return undefined;
    }
    child.stdin?.write(`${JSON.stringify(args)}\n`);
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#next?.[Symbol.dispose]();
    const child = await this.#waiting;
    this.#waiting = undefined;
    if (child !== undefined) await endProcessGroup(child, END_GRACE_MS, this.#options.clock);
  }

  async #start(): Promise<ChildProcess | undefined> {
    const { selfCommand, place, logger } = this.#options;
    try {
      const child = await startProgram([...selfCommand, "filter", "spare"], place, "pipe");
      child.stdin?.on("error", () => {}); // it has ended: whoever takes it sees that
      return child;
    } catch (error) {
      logger.warn("no spare filter could be started; launches take longer", { error });
      return undefined;
    }
  }
}
