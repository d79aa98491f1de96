import type { FilterDecision, FilterDirection } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import type { LimitKeeper } from "../rules/limits.ts";
import type { LiveRules } from "../rules/live-rules.ts";

/** What a kind of filter tells of each message that it judged. */
export interface Judgement extends Pick<FilterDecision, "rule" | "decision" | "mode" | "summary" | "because"> {
  readonly direction: FilterDirection;
  /**
   * The message's values as they were judged, for `--decisions`: what `filter learn` makes rules of. Left out for what
   * could not be read. Taken down at once, so that the kind may change it afterwards.
   */
  readonly message?: unknown;
  /** False for what came in, or was sent, without the user: a dead-man's switch does not hear of it. */
  readonly isSign?: boolean;
}

/** What every filter is started with. */
export interface FilterTools<Rules> {
  /** Address to listen at. */
  readonly host: string;
  /** Port to listen at; 0 for a free one. */
  readonly port: number;
  /** Ask it for each message: the file may be read again at any time. */
  readonly rules: LiveRules<Rules>;
  /** Call it once for each message that was judged, before the message passes. */
  readonly onDecision: (judgement: Judgement) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A filter that listens. Its end closes every connection. */
export interface RunningFilter extends AsyncDisposable {
  /** `host:port` at which it serves now; an IPv6 host is in brackets. */
  readonly address: string;
  /**
   * Cuts every connection, those that are not yet accepted too, and drops what was read of them and has not reached the
   * device. Settles when nothing of it passes any more, and it serves again, where `address` tells.
   */
  cutAll(): Promise<void>;
  /**
   * The rules were read again. For kinds whose messages last, such as connections: what goes on and is not allowed any
   * more is ended.
   */
  judgeAgain?(): void;
}

/** A kind of filter, with what it needs besides (the device, its speed). `runFilter` makes a program of it. */
export interface FilterKind<Rules> {
  /** As in `filter run NAME` and in decisions. */
  readonly name: string;
  /** Its rules when there is no rules file; left out by kinds that need one. */
  readonly withoutFile?: Rules;
  /**
   * Rules of the text of a rules file.
   * @param file name for messages
   * @param limits where the limits of the rules (`rate`, `budget`) come from: they go on when a file is read again
   * @throws AppError `config_invalid` with file, line, column, field and what was expected
   */
  parseRules(text: string, file: string, limits: LimitKeeper): Rules;
  /** Resolves when it listens. @throws AppError when it can't */
  start(tools: FilterTools<Rules>): Promise<RunningFilter>;
}
