import { AppError, toAppError } from "@hardshare/protocol";
import { BackOff, type Clock, type Logger, OwnedParts, pause, type Random } from "@hardshare/runtime";
import { Supervised } from "../programs/supervised.ts";
import { INTERNET_UID } from "./network-users.ts";
import { hostRules } from "./render-packet-rules.ts";
import { runNetworkProgram } from "./network-programs.ts";
import { readSurroundings } from "./surroundings.ts";
import { startWatchedProgram } from "./watched-program.ts";

/** How long the program that watches may take to tell of a change of ours, and how often it is tried. */
const TOLD_WITHIN_MS = 200;
const MAX_TRIALS = 25;

export interface PacketRulesOptions {
  /** Our table; another one for each daemon of this computer. */
  table: string;
  environment: NodeJS.ProcessEnv;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** What those who rely on the packet rules hear. */
export interface PacketRulesListener {
  /** Somebody else had changed or removed them; they are as they have to be again. */
  onRestored(): void;
  /** They are not as they have to be, and cannot be made so: what relies on them has to end. */
  onLost(error: AppError): void;
}

/**
 * The packet rules of this computer for `network: internet`: in a table of our own, so that what engines and firewalls
 * do with theirs never touches it. Whoever empties all tables is noticed, by the events of `nft monitor`, and so is a
 * network to which this computer is connected from now on: then the rules are made as they have to be.
 */
export class PacketRules implements AsyncDisposable {
  readonly #options: PacketRulesOptions;
  readonly #listeners = new Set<PacketRulesListener>();
  readonly #watches = new OwnedParts();
  #watching: Promise<void> | undefined;
  /** The rules as they were loaded last, and what the kernel then said of them. */
  #loaded: { text: string; listing: string } | undefined;
  /** Settles when the check that was asked for last is done: one at a time. */
  #checked: Promise<void> = Promise.resolve();
  #isCheckWaiting = false;
  #onChange: (() => void) | undefined;
  #isClosed = false;

  constructor(options: PacketRulesOptions) {
    this.#options = options;
  }

  /**
   * Has the rules in place, and kept so until the end.
   * @throws AppError `engine_missing` when a program is missing, `program_failed` when they cannot be loaded
   */
  async ensure(): Promise<void> {
    this.#watching ??= this.#watch();
    const watching = this.#watching;
    try {
      await watching;
    } catch (error) {
      if (this.#watching === watching) this.#watching = undefined;
      throw error;
    }
    await this.#inTurn(() => this.#check());
  }

  /** @returns ends the listening */
  listen(listener: PacketRulesListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Removes them, also those of a daemon before that was killed. Nothing relies on them any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#watching?.catch(() => {});
    await this.#watches[Symbol.asyncDispose]();
    await this.#inTurn(async () => {
      if (process.geteuid?.() !== 0) return;
      // One that is not there, and no `nft`, are fine.
      await this.#nft(["delete", "table", "inet", this.#options.table]).catch(() => {});
    });
  }

  async #watch(): Promise<void> {
    const { environment: env, clock, random } = this.#options;
    const onLost = (how: string) => {
      this.#options.logger.warn("packet rules are not watched", { how });
      this.#onEvent(); // nobody else would tell
    };
    const supervise = async (argv: readonly [string, ...string[]], begin: () => Promise<void>) => {
      const start = async () => {
        const program = startWatchedProgram({ argv, env, clock, onOutput: () => this.#onEvent() });
        try {
          await begin();
          return program;
        } catch (error) {
          await program[Symbol.asyncDispose]();
          throw error;
        }
      };
      const backOff = new BackOff({ firstMs: 100, maxMs: 5000, random });
      const options = { start, backOff, clock, onLost, onRestored: () => this.#onEvent() };
      this.#watches.own(await Supervised.start(options, new AbortController().signal));
    };
    await this.#nft(["list", "tables"]); // tells at once when it is not there
    await supervise(["nft", "monitor"], () => this.#untilTold());
    await supervise(["ip", "monitor", "address", "route"], async () => {});
  }

  /** Loads the rules until the program that watches has told of it: then it will tell of what others do, too. */
  async #untilTold(): Promise<void> {
    const never = new AbortController().signal;
    for (let trial = 0; trial < MAX_TRIALS; trial += 1) {
      let isTold = false;
      const told = new Promise<void>((resolve) => {
        this.#onChange = () => {
          isTold = true;
          resolve();
        };
      });
      await this.#inTurn(() => this.#load());
      await Promise.race([told, pause(this.#options.clock, TOLD_WITHIN_MS, never)]);
      this.#onChange = undefined;
      if (isTold) return;
    }
    throw new AppError("program_failed", "`nft monitor` tells of no change, so packet rules could not be kept");
  }

  #onEvent(): void {
    this.#onChange?.();
    if (this.#loaded === undefined || this.#isCheckWaiting || this.#isClosed) return;
    this.#isCheckWaiting = true;
    void this.#inTurn(async () => {
      this.#isCheckWaiting = false;
      await this.#check();
    }).catch((error: unknown) => {
      const failure = toAppError(error);
      this.#options.logger.error("packet rules could not be restored", { error: failure });
      for (const listener of this.#listeners) listener.onLost(failure);
    });
  }

  async #check(): Promise<void> {
    const { environment, table, logger } = this.#options;
    const { nearby } = await readSurroundings(environment);
    const isAsNeeded = this.#loaded?.text === hostRules(table, INTERNET_UID, nearby);
    if (isAsNeeded && (await this.#list()) === this.#loaded?.listing) return;
    await this.#load();
    if (!isAsNeeded) return; // this computer was connected elsewhere
    logger.warn("the packet rules of instances had been changed by others; they are restored", { table });
    for (const listener of this.#listeners) listener.onRestored();
  }

  async #load(): Promise<void> {
    const { environment, table } = this.#options;
    const { nearby } = await readSurroundings(environment);
    const text = hostRules(table, INTERNET_UID, nearby);
    await this.#nft(["-f", "-"], text);
    const listing = await this.#list();
    if (listing === undefined) throw new AppError("program_failed", "the packet rules were removed while they were loaded");
    this.#loaded = { text, listing };
  }

  /** What the kernel has; undefined when there is no such table. */
  async #list(): Promise<string | undefined> {
    return this.#nft(["list", "table", "inet", this.#options.table]).catch((error: unknown) => {
      if (toAppError(error).code === "program_failed") return undefined;
      throw error;
    });
  }

  /** @throws AppError `engine_missing`, `program_failed` with its words */
  async #nft(args: readonly string[], input?: string): Promise<string> {
    const { exitCode, stdout, stderr } = await runNetworkProgram("nft", args, { env: this.#options.environment, input });
    if (exitCode === 0) return stdout;
    const words = stderr.trim() || `exit code ${exitCode}`;
    throw new AppError("program_failed", `the packet rules for \`network: internet\` cannot be loaded: ${words}`);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const result = this.#checked.then(work);
    this.#checked = result.catch(() => {});
    return result;
  }
}
