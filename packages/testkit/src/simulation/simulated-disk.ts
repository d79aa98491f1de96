import type { JournalFile } from "@hardshare/host/wiring";
import type { SimulatedProcess } from "./simulated-process.ts";

/** How long a write and its sync take at most. */
const MAX_WRITE_MS = 5;

/** The disk of a host computer, with the journal on it: outlives processes, may be full, and tears a write by a kill in its middle. */
export class SimulatedDisk {
  isFull = false;
  #bytes: Buffer = Buffer.alloc(0);

  /** The journal's file, for one process. */
  openFor(process: SimulatedProcess): JournalFile {
    const { random } = process;
    /** Does something to the bytes after a while; a process that is killed meanwhile may have done a part of it. */
    const change = async (whole: Buffer, torn: () => Buffer) => {
      let isDone = false;
      process.onEnd(() => {
        if (!isDone && random.chance(0.5)) this.#bytes = torn();
      });
      await process.pass(random.fraction() * MAX_WRITE_MS);
      isDone = true;
      this.#bytes = whole;
    };
    return {
      path: `${process.computer.name}:journal`,
      read: async () => this.#bytes,
      write: async (bytes, offset) => {
        const whole = Buffer.concat([this.#bytes.subarray(0, offset), bytes]);
        const torn = () => whole.subarray(0, offset + random.below(bytes.length + 1));
        if (!this.isFull) return change(whole, torn);
        await process.pass(1);
        this.#bytes = torn();
        throw new Error("no space left on the device");
      },
      truncate: async (sizeBytes) => {
        this.#bytes = this.#bytes.subarray(0, sizeBytes);
      },
      replace: async (bytes) => {
        if (this.isFull) throw new Error("no space left on the device");
        await change(bytes, () => (random.chance(0.5) ? bytes : this.#bytes)); // a rename happens whole or not at all
      },
      close: async () => {},
    };
  }
}
