import { type CheckCode, type CheckEvent, makeFinding } from "@hardshare/protocol";

/** What was found so far about one deployment, told as it is found. */
export class Findings {
  readonly #deployment: string | null;
  readonly #failFast: boolean;
  readonly #emit: (event: CheckEvent) => void;
  #hasErrors = false;

  constructor(options: { deployment: string | null; failFast: boolean; emit: (event: CheckEvent) => void }) {
    this.#deployment = options.deployment;
    this.#failFast = options.failFast;
    this.#emit = options.emit;
  }

  get hasErrors(): boolean {
    return this.#hasErrors;
  }

  /** Whether nothing more is to be looked at. */
  get mustStop(): boolean {
    return this.#failFast && this.#hasErrors;
  }

  /** What is looked at now, for a person who waits. */
  progress(text: string): void {
    this.#emit({ kind: "progress", text });
  }

  /** @param fix what to do, where more is known than the catalogue says */
  add(code: CheckCode, cause: string, fix?: string): void {
    const finding = makeFinding(code, { deployment: this.#deployment, cause, ...(fix === undefined ? {} : { fix }) });
    if (finding.severity === "error") this.#hasErrors = true;
    this.#emit({ kind: "finding", finding });
  }
}
