import { BackOff, type Clock, pause, type Random } from "@hardshare/runtime";
import { type PostgresOptions, type PostgresProcess, startPostgres } from "./postgres-process.ts";

/** Pauses before it is started again. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;

/**
 * Keeps postgres running: one that ends without being asked to (it was killed, or its disk is full) is started again,
 * until that succeeds. Meanwhile whoever asks it for something is told that it cannot be reached.
 */
export class KeptPostgres implements AsyncDisposable {
  readonly #options: PostgresOptions;
  readonly #clock: Clock;
  readonly #backOff: BackOff;
  readonly #stop = new AbortController();
  readonly #kept: Promise<void>;
  #current: PostgresProcess;

  private constructor(options: PostgresOptions, tools: { clock: Clock; random: Random }, first: PostgresProcess) {
    this.#options = options;
    this.#clock = tools.clock;
    this.#backOff = new BackOff({ firstMs: FIRST_PAUSE_MS, maxMs: LONGEST_PAUSE_MS, random: tools.random });
    this.#current = first;
    this.#kept = this.#keep();
  }

  /** The first start fails for the caller. @throws AppError as `startPostgres` */
  static async start(options: PostgresOptions, tools: { clock: Clock; random: Random }): Promise<KeptPostgres> {
    return new KeptPostgres(options, tools, await startPostgres(options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#current[Symbol.asyncDispose]();
    await this.#kept;
  }

  async #keep(): Promise<void> {
    const { logger } = this.#options;
    const { signal } = this.#stop;
    await this.#current.ended;
    while (!signal.aborted) {
      logger.error("PostgreSQL ended by itself; starting it again");
      await pause(this.#clock, this.#backOff.nextMs(), signal);
      if (signal.aborted) return;
      try {
        this.#current = await startPostgres({ ...this.#options, signal });
      } catch (error) {
        if (!signal.aborted) logger.error("PostgreSQL cannot be started; trying again", { error });
        continue;
      }
      if (signal.aborted) return this.#current[Symbol.asyncDispose](); // asked to end in the moment in which it was ready
      logger.info("PostgreSQL runs again");
      this.#backOff.reset();
      await this.#current.ended;
    }
  }
}
