import type { Clock } from "@hardshare/runtime";
import type { SeededRandom } from "./seeded-random.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** A computer: what runs on it shares its wall clock, and is cut off or without power together. */
export class Computer {
  readonly name: string;
  /** By how much its wall clock is ahead of true time. */
  wallAheadMs = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** The moment at which a simulation begins, in milliseconds since 1970. */
export const BEGINNING_MS = Date.UTC(2026, 0, 1);

/**
 * A process: its timers and what reaches it from outside run only while it lives, and wait while it is paused. Whatever
 * it awaits when it is killed never settles, so that nothing of it goes on.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly computer: Computer;
  readonly random: SeededRandom;
  readonly clock: Clock;
  readonly #time: VirtualTime;
  #isAlive = true;
  /** What waits until it is resumed; undefined while it runs. */
  #held: { timers: (() => void)[]; arrivals: (() => void)[] } | undefined;
  readonly #onEnd = new Set<() => void>();

  constructor(name: string, computer: Computer, time: VirtualTime, random: SeededRandom) {
    this.name = name;
    this.computer = computer;
    this.random = random;
    this.#time = time;
    this.clock = {
      now: () => BEGINNING_MS + time.nowMs + computer.wallAheadMs,
      monotonicMs: () => time.nowMs,
      after: (delayMs, run) => this.#after(delayMs, run),
    };
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Calls `run` when the process ends, however it does. */
  onEnd(run: () => void): void {
    if (this.#isAlive) this.#onEnd.add(run);
    else run();
  }

  /** `kill -9`. */
  kill(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    for (const run of this.#onEnd) run();
  }

  /** SIGSTOP. */
  pause(): void {
    this.#held ??= { timers: [], arrivals: [] };
  }

  /** SIGCONT: timers that are due come before what arrived meanwhile, as in Node's event loop. */
  resume(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    for (const run of [...held.timers, ...held.arrivals]) this.#time.after(0, () => this.deliver(run));
  }

  /** Runs something that arrives in the process, now or when it is resumed; never once it was killed. */
  deliver(run: () => void): void {
    if (!this.#isAlive) return;
    if (this.#held === undefined) run();
    else this.#held.arrivals.push(run);
  }

  /** Settles after `delayMs`; never when the process is killed before. */
  pass(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(delayMs, resolve));
  }

  /** Never settles: for what a killed process waits for. */
  never(): Promise<never> {
    return new Promise(() => {});
  }

  #after(delayMs: number, run: () => void): Disposable {
    let isCancelled = false;
    const fire = () => {
      if (!isCancelled && this.#isAlive) run();
    };
    const timer = this.#time.after(delayMs, () => {
      if (this.#held === undefined) fire();
      else this.#held.timers.push(fire);
    });
    return {
      [Symbol.dispose]: () => {
        isCancelled = true;
        timer[Symbol.dispose]();
      },
    };
  }
}
