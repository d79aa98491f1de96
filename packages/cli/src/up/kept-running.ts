import { BackOff, type Clock, type Random } from "@hardshare/runtime";
import { Child, type ChildOptions } from "./child-process.ts";

const FIRST_DELAY_MS = 250;
const LAST_DELAY_MS = 10_000;
/** Milliseconds of running after which a program counts as started well. */
const STEADY_MS = 30_000;

export interface KeptRunningOptions extends ChildOptions {
  /** Milliseconds that it may take to end when asked to; then it is killed. */
  graceMs: number;
  clock: Clock;
  random: Random;
}

/** A program that, once it was ready, is started again whenever it ends, until it is stopped. */
export class KeptRunning {
  readonly #options: KeptRunningOptions;
  readonly #backOff: BackOff;
  #child: Child;
  #isStopping = false;
  #restart: Disposable | undefined;

  constructor(options: KeptRunningOptions) {
    this.#options = options;
    this.#backOff = new BackOff({ firstMs: FIRST_DELAY_MS, maxMs: LAST_DELAY_MS, random: options.random });
    this.#child = new Child(options);
  }

  /** Waits until it says that it is ready. @returns the JSON that it said @throws AppError its failure, when it ends before */
  async ready(): Promise<unknown> {
    const said = await this.#child.ready();
    this.#watch(this.#child);
    return said;
  }

  /** Ends it for good. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#restart?.[Symbol.dispose]();
    await this.#child.stop(this.#options.graceMs);
  }

  #watch(child: Child): void {
    const { clock, log } = this.#options;
    const startedMs = clock.monotonicMs();
    void child.ended.then((how) => {
      if (this.#isStopping) return;
      if (clock.monotonicMs() - startedMs > STEADY_MS) this.#backOff.reset();
      const delayMs = this.#backOff.nextMs();
      log.write(`[up] ${child.name} ended (${how}); starting it again in ${Math.round(delayMs)} ms\n`);
      this.#restart = clock.after(delayMs, () => {
        this.#child = new Child(this.#options);
        this.#watch(this.#child);
      });
    });
  }
}

/** Programs that belong together: ended one after the other, the last started first. */
export class ProgramStack implements AsyncDisposable {
  readonly #programs: KeptRunning[] = [];

  /** Starts one and waits until it is ready. @returns the JSON that it said @throws AppError its failure */
  async start(options: KeptRunningOptions): Promise<unknown> {
    const program = new KeptRunning(options);
    this.#programs.push(program);
    return program.ready();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let program = this.#programs.pop(); program !== undefined; program = this.#programs.pop()) await program.stop();
  }
}
