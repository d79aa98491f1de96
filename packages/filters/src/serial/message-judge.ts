import { type CompiledSerialRules, judgeSerial, type SerialVerdict } from "../rules/serial-rules.ts";
import type { LiveRules } from "../rules/live-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import type { SerialPiece } from "./framer.ts";
import { printable } from "./printable.ts";

/** What becomes of one piece of the stream. */
export interface Passage {
  /** What may pass, as the bytes to write; undefined for nothing. */
  readonly bytes: Buffer | undefined;
  /** The line that is written back for a refused message; undefined for none. */
  readonly refusal: string | undefined;
}

const NOTHING: Passage = { bytes: undefined, refusal: undefined };

function isLine({ end, length }: CompiledSerialRules["messages"]): boolean {
  return length === undefined && !Array.isArray(end);
}

/** Judges the pieces of one stream in one direction, and tells each decision. */
export class MessageJudge {
  readonly #direction: Judgement["direction"];
  readonly #rules: LiveRules<CompiledSerialRules>;
  readonly #onDecision: (judgement: Judgement) => void;
  #hasLastPassed = false;

  constructor(options: {
    direction: Judgement["direction"];
    rules: LiveRules<CompiledSerialRules>;
    onDecision: (judgement: Judgement) => void;
  }) {
    this.#direction = options.direction;
    this.#rules = options.rules;
    this.#onDecision = options.onDecision;
  }

  judge(piece: SerialPiece): Passage {
    const rules = this.#rules.current;
    if (piece.kind === "line feed") {
      const isWritten = this.#hasLastPassed && (this.#direction === "out" || rules.answer === undefined);
      return isWritten ? { ...NOTHING, bytes: Buffer.from("\n") } : NOTHING;
    }
    if (piece.kind === "too long") {
      this.#hasLastPassed = false;
      const because = `the message is longer than ${rules.messages.limit} bytes`;
      return this.#refuse(rules, { decision: "block", rule: "strict", because }, "enforce", { summary: `${printable(piece.text)}…` });
    }
    const isPaced = this.#direction === "in" && rules.answer !== undefined && piece.kind === "message";
    if (isPaced && piece.text.trim() === "") {
      this.#hasLastPassed = false;
      const because = "an empty message would wait for an answer that not every device gives";
      return this.#refuse(rules, { decision: "block", rule: "strict", because }, "enforce", { summary: printable(piece.text) });
    }
    const verdict = judgeSerial(rules[this.#direction], piece.text);
    const told = {
      summary: printable(piece.text),
      message: { line: piece.text, ...(verdict.parts === undefined ? {} : { groups: verdict.parts }) },
    };
    const isPassing = verdict.decision === "allow" || rules.mode === "shadow";
    if (piece.kind === "message") this.#hasLastPassed = isPassing;
    if (!isPassing) return this.#refuse(rules, verdict, rules.mode, told);
    const { decision, rule, because } = verdict;
    this.#onDecision({
      direction: this.#direction,
      rule,
      decision,
      mode: rules.mode,
      ...(because === undefined ? {} : { because }),
      ...told,
    });
    // On trial nothing is changed either.
    const text = verdict.decision === "allow" && rules.mode === "enforce" ? verdict.text : piece.text;
    // A device that takes CR and LF for an end each would answer CRLF twice.
    const end = piece.kind !== "message" ? "" : isPaced && isLine(rules.messages) ? "\n" : piece.end;
    return { ...NOTHING, bytes: Buffer.from(text + end, "latin1") };
  }

  #refuse(
    rules: CompiledSerialRules,
    { rule, because }: SerialVerdict & { decision: "block" },
    mode: Judgement["mode"],
    told: Pick<Judgement, "summary" | "message">,
  ): Passage {
    this.#onDecision({ direction: this.#direction, rule, decision: "block", mode, because, ...told });
    if (rules.refusal === "" || this.#direction === "out") return NOTHING;
    const line = rules.refusal.replaceAll(/\{(rule|because)\}/g, (_, field: "rule" | "because") => ({ rule, because })[field]);
    return { ...NOTHING, refusal: printable(line) };
  }
}
