import type { Writable } from "node:stream";
import picocolors from "picocolors";
import { stringify } from "yaml";
import { withCommandName } from "../command-name.ts";
import type { GlobalOptions } from "../context.ts";

export type Colours = ReturnType<typeof picocolors.createColors>;

export interface OutputOptions {
  stdout: Writable;
  stderr: Writable;
  format: GlobalOptions["format"];
  /** What people type to start this command. */
  commandName: string;
  hasColours: boolean;
}

/**
 * Where a verb's words go: results to standard output in the format asked for, everything else to standard error.
 * JSON is one line, so that programs can read it line by line.
 */
export class Output {
  readonly #stdout: Writable;
  readonly #stderr: Writable;
  readonly #format: GlobalOptions["format"];
  readonly #commandName: string;
  readonly colours: Colours;

  constructor(options: OutputOptions) {
    this.#stdout = options.stdout;
    this.#stderr = options.stderr;
    this.#format = options.format;
    this.#commandName = options.commandName;
    this.colours = picocolors.createColors(options.hasColours);
  }

  get isForPrograms(): boolean {
    return this.#format !== "table";
  }

  /** The result of a verb: `value` for programs, `text` for people. */
  result(value: unknown, text: () => string): void {
    if (this.#format === "json") this.#stdout.write(`${JSON.stringify(value)}\n`);
    else if (this.#format === "yaml") this.#stdout.write(stringify(value));
    else {
      const lines = text();
      if (lines !== "") this.#stdout.write(`${withCommandName(lines, this.#commandName)}\n`);
    }
  }

  /** What is going on, on standard error. */
  progress(text: string): void {
    this.#stderr.write(`${withCommandName(text, this.#commandName)}\n`);
  }
}
