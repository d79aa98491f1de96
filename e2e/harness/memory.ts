import { readFile } from "node:fs/promises";

/** Resident memory of processes, as the kernel counts it, and the most that it has been at the moments of `look`. */
export class MemoryWatch {
  readonly #pids: ReadonlyMap<string, number>;
  readonly #before = new Map<string, number>();
  readonly #most = new Map<string, number>();

  /** @param pids by the names of their programs */
  static async start(pids: ReadonlyMap<string, number>): Promise<MemoryWatch> {
    const watch = new MemoryWatch(pids);
    for (const [name, pid] of pids) watch.#before.set(name, await readResidentBytes(pid));
    await watch.look();
    return watch;
  }

  private constructor(pids: ReadonlyMap<string, number>) {
    this.#pids = pids;
  }

  async look(): Promise<void> {
    for (const [name, pid] of this.#pids) this.#most.set(name, Math.max(this.#most.get(name) ?? 0, await readResidentBytes(pid)));
  }

  /** By how many bytes each has grown at most. */
  get growth(): Record<string, number> {
    return Object.fromEntries([...this.#most].map(([name, most]) => [name, most - (this.#before.get(name) ?? 0)]));
  }
}

async function readResidentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no memory`);
  return Number(kilobytes) * 1024;
}
