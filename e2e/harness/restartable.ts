import { RunningCommand } from "./commands.ts";

/** A long-running `hardshare …` that is killed and started again with the same arguments. */
export class Restartable<Ready> implements AsyncDisposable {
  readonly #make: () => RunningCommand<Ready>;
  #now: RunningCommand<Ready> | undefined;

  constructor(make: () => RunningCommand<Ready>) {
    this.#make = make;
  }

  /** The process that was started last. */
  get now(): RunningCommand<Ready> {
    if (this.#now === undefined) throw new Error("not started yet");
    return this.#now;
  }

  /** Starts it; await `ready` for when it is. */
  start(): RunningCommand<Ready> {
    this.#now = this.#make();
    return this.#now;
  }

  /** Ends its process at once, as a crash or the kernel's out-of-memory killer does. */
  async kill(): Promise<void> {
    await this.now.stop("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#now?.stop();
  }
}
