import type { LogFields, Logger } from "@hardshare/runtime";
import type { SimulatedProcess } from "./simulated-process.ts";

/** What happened in a simulation, in order, for people to read and to compare two runs of one seed. */
export class Trace {
  readonly #notes: { atMs: number; who: string; what: string; fields: LogFields }[] = [];
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  note(who: string, what: string, fields: LogFields = {}): void {
    this.#notes.push({ atMs: this.#nowMs(), who, what, fields });
  }

  get lines(): string[] {
    return this.#notes.map(({ atMs, who, what, fields }) => {
      return `${(atMs / 1000).toFixed(3).padStart(9)} ${who.padEnd(10)} ${what}${describe(fields)}`;
    });
  }

  /** The log of one process; what it says after it was killed is not heard. */
  loggerOf(process: SimulatedProcess, fixed: LogFields = {}): Logger {
    const say = (level: string) => (message: string, fields?: LogFields) => {
      if (process.isAlive) this.note(process.name, `${level} ${message}`, { ...fixed, ...fields });
    };
    return {
      debug: say("debug"),
      info: say("info"),
      warn: say("warn"),
      error: say("ERROR"),
      child: (fields) => this.loggerOf(process, { ...fixed, ...fields }),
    };
  }
}

function describe(fields: LogFields): string {
  const parts = Object.entries(fields).map(([name, value]) => `${name}=${value instanceof Error ? value.message : JSON.stringify(value)}`);
  return parts.length === 0 ? "" : ` {${parts.join(", ")}}`;
}
