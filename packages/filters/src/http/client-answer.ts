import { type AnswerRules, mayHoldJson } from "../rules/answer-rules.ts";
import type { AnswerHead } from "./answer-reader.ts";
import type { AnswerWriter } from "./answer-writer.ts";
import type { AnswerSink } from "./device-link.ts";
import type { HeldMemory } from "./held-body.ts";
import { HeldBytes } from "./held-bytes.ts";
import { selectEndToEnd } from "./strict-request.ts";

/** Headers that are no longer true of a body that was written anew. */
const OF_THE_BODY: ReadonlySet<string> = new Set(["content-length", "content-md5", "content-digest", "repr-digest", "digest", "etag"]);

interface ClientAnswerOptions {
  readonly method: string;
  readonly expectsContinue: boolean;
  /** Undefined: all passes as it is. */
  readonly rules: AnswerRules | undefined;
  /** Whether what the rules say is told only, and nothing changed. */
  readonly isShadow: boolean;
  readonly memory: HeldMemory;
}

/** The device's answer on its way to the client, as far as the owner's rules let it back. */
export class ClientAnswer implements AnswerSink {
  /** Why it does not go back. */
  refusal: string | undefined;
  /** What was changed. */
  changed: string | undefined;
  /** The device's status, once it answered. */
  status: number | undefined;
  readonly #writer: AnswerWriter;
  readonly #options: ClientAnswerOptions;
  #held: { headers: readonly string[]; head: AnswerHead; bytes: HeldBytes; limitBytes: number } | undefined;

  constructor(writer: AnswerWriter, options: ClientAnswerOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  continue(): void {
    if (this.#options.expectsContinue) this.#writer.continue();
  }

  begin(head: AnswerHead): void {
    const { rules, isShadow, method } = this.#options;
    this.status = head.status;
    let headers: readonly string[] = selectEndToEnd(head.rawHeaders);
    if (rules !== undefined) {
      this.refusal = rules.judgeStatus(head.status);
      const body = method === "HEAD" || head.status === 204 || head.status === 304 ? undefined : rules.body;
      const looksInto = body !== undefined && mayHoldJson(valuesOf(headers, "content-type"));
      if (looksInto && valuesOf(headers, "content-encoding").some((coding) => coding !== "identity")) {
        this.refusal ??= "the owner's filter rules remove fields of answers, and this one is compressed";
      }
      if (!isShadow) {
        if (this.refusal !== undefined) throw new Error(this.refusal);
        headers = rules.selectHeaders(headers);
        if (method === "HEAD" && rules.body !== undefined) headers = without(headers, OF_THE_BODY);
        if (looksInto) {
          this.#held = { headers: without(headers, OF_THE_BODY), head, bytes: new HeldBytes(), limitBytes: body.limitBytes };
          return;
        }
      }
    }
    this.#writeHead(head, headers);
  }

  write(bytes: Buffer, onDrain: () => void): boolean {
    if (this.#held !== undefined) {
      this.#hold(bytes);
      if (this.refusal !== undefined) throw new Error(this.refusal);
      return true;
    }
    return this.#writer.write(bytes, onDrain);
  }

  flush(): void {
    if (this.#held === undefined) this.#writer.flush();
  }

  end(last: Buffer | undefined, onFinish: () => void): void {
    if (this.#held !== undefined) {
      if (last !== undefined) this.#hold(last);
      const text = this.#releaseHeld();
      this[Symbol.dispose]();
      if (text === undefined) return onFinish();
      last = text;
    }
    if (this.#writer.end(last, onFinish)) onFinish();
  }

  /** What is held is let go of: the answer was cut off. */
  [Symbol.dispose](): void {
    this.#options.memory.give(this.#held?.bytes.size ?? 0);
    this.#held = undefined;
  }

  #writeHead(head: AnswerHead, headers: readonly string[]): void {
    // A client that was not told to send the body may do so all the same, or not.
    const isLast = this.#options.expectsContinue && !this.#writer.hasContinued;
    this.#writer.writeHead(head.status, head.statusMessage, headers, isLast);
  }

  #hold(bytes: Buffer): void {
    const held = this.#held;
    if (held === undefined || this.refusal !== undefined) return;
    if (held.bytes.size + bytes.length > held.limitBytes) {
      this.refusal = `the answer is larger than ${held.limitBytes} bytes, the most that is held to remove fields of it`;
    } else if (!this.#options.memory.take(bytes.length)) {
      this.refusal = "the filter holds as much as it can: try again";
    } else {
      held.bytes.add(bytes);
    }
  }

  #releaseHeld(): Buffer | undefined {
    const held = this.#held;
    if (held === undefined || this.refusal !== undefined) return undefined;
    const result = this.#options.rules?.body?.remove(held.bytes.all);
    if (result === undefined || "problem" in result) {
      this.refusal = result?.problem ?? "the owner's filter rules remove fields of answers";
      return undefined;
    }
    if (result.removed > 0) this.changed = `${result.removed} fields were removed`;
    const bytes = Buffer.from(result.text);
    this.#writeHead(held.head, [...held.headers, "Content-Length", String(bytes.length)]);
    return bytes;
  }
}

function valuesOf(headers: readonly string[], name: string): string[] {
  return headers
    .filter((_text, index) => index % 2 === 1 && headers[index - 1]?.toLowerCase() === name)
    .map((text) => text.trim().toLowerCase());
}

function without(headers: readonly string[], names: ReadonlySet<string>): string[] {
  return headers.filter((_text, index) => !names.has((headers[index - (index % 2)] ?? "").toLowerCase()));
}
