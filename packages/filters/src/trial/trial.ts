import type { FilterDirection } from "@hardshare/protocol";
import type { Judgement } from "../run/filter-kind.ts";

/** What became of one message that was tried out. */
export interface TriedMessage {
  readonly message: string;
  /** What the filter decided about it, in order: mostly one decision. */
  readonly decisions: readonly Pick<Judgement, "direction" | "decision" | "mode" | "rule" | "because" | "summary">[];
  /** What reached the device of it. */
  readonly reached: readonly string[];
}

/** Rules that are tried out: the filter itself, without hardware. */
export interface Trial extends AsyncDisposable {
  /** @throws AppError `bad_input` when it can't be sent as a message */
  try(message: string, direction?: FilterDirection): Promise<TriedMessage>;
}
