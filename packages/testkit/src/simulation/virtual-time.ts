/** Something that is to happen at a moment of virtual time. */
interface Due {
  atUs: number;
  order: number;
  run: () => void;
  isCancelled: boolean;
}

/** Time of a simulation: it stands still while anybody computes, then jumps to what is due next. Equal moments keep their order. */
export class VirtualTime {
  readonly #heap: Due[] = [];
  readonly #isBusy: () => boolean;
  /** In whole microseconds, so that no delay is lost to rounding. */
  #nowUs = 0;
  #order = 0;

  /** @param isBusy whether something real is under way, such as a query, for which time stands still */
  constructor(isBusy: () => boolean = () => false) {
    this.#isBusy = isBusy;
  }

  /** Milliseconds since the simulation began. */
  get nowMs(): number {
    return this.#nowUs / 1000;
  }

  after(delayMs: number, run: () => void): Disposable {
    const due: Due = { atUs: this.#nowUs + Math.ceil(Math.max(0, delayMs) * 1000), order: this.#order++, run, isCancelled: false };
    this.#push(due);
    return {
      [Symbol.dispose]: () => {
        due.isCancelled = true;
      },
    };
  }

  /** Lets happen what is due until `endMs`, or until `isDone` says so after an event. @returns whether it was `isDone` */
  async runUntil(endMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    await this.#settle();
    if (isDone()) return true;
    for (let due = this.#heap[0]; due !== undefined && due.atUs <= endMs * 1000; due = this.#heap[0]) {
      this.#pop();
      if (due.isCancelled) continue;
      this.#nowUs = Math.max(this.#nowUs, due.atUs);
      due.run();
      await this.#settle();
      if (isDone()) return true;
    }
    this.#nowUs = Math.max(this.#nowUs, Math.floor(endMs * 1000));
    return isDone();
  }

  /** Lets happen what is due until `work` has settled. @throws RangeError when that takes longer than `withinMs` */
  async runThrough<T>(work: Promise<T>, withinMs: number): Promise<T> {
    let isSettled = false;
    const settle = () => {
      isSettled = true;
    };
    work.then(settle, settle);
    if (!(await this.runUntil(this.nowMs + withinMs, () => isSettled))) throw new RangeError(`not done within ${withinMs} ms`);
    return work;
  }

  /** Microtasks and ticks have all run when Node comes round to immediates. */
  async #settle(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve));
    while (this.#isBusy());
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let index = heap.push(due) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, due)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = due;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const [a, b] = [heap[left], heap[left + 1]];
      const child = a !== undefined && b !== undefined && isBefore(b, a) ? left + 1 : left;
      const below = heap[child];
      if (below === undefined || isBefore(last, below)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}
