import type { RpcAllowRule } from "@hardshare/protocol";

/** A call as it is about to be made: from what was judged, written anew. */
export interface ProcedureInput {
  /** Decoded segments of the path. */
  readonly path: readonly string[];
  /** Path and query. */
  readonly target: string;
  readonly body: Buffer | undefined;
}

/** A program to run, with all of its arguments. */
export interface ProcedureCall {
  readonly argv: readonly [string, ...string[]];
  readonly stdin: string | undefined;
}

/** Why a call is not made, and the status of the answer. */
export interface ProcedureProblem {
  readonly problem: string;
  readonly status: 400 | 503;
}

/** A program of the owner that a rule lets users call. */
export interface Procedure extends Pick<RpcAllowRule, "content_type" | "output_limit" | "at_once"> {
  /** By which those that run are found again when the rules are read again. */
  readonly name: string;
  /** As its owner wrote it, for `filter learn`; undefined when it can't be learnt. */
  readonly source: Pick<RpcAllowRule, "allow" | "run" | "stdin"> | undefined;
  readonly timeoutMs: number;
  /** How many calls may wait for their turn; more are refused. */
  readonly waiting: number;
  /** Its working folder; undefined: that of the filter. */
  readonly folder: string | undefined;
  /** Puts the values of a call into the arguments, or says why they can't be: nothing else stands between them and the program. */
  fill(input: ProcedureInput): ProcedureCall | ProcedureProblem;
  /** Whether one more call would be refused, because it runs already. */
  isBusy(): boolean;
}

/** Why an allowed call is refused by its procedure; undefined when it can be made now. */
export function findCallProblem(procedure: Procedure, input: ProcedureInput): ProcedureProblem | undefined {
  const call = procedure.fill(input);
  if ("problem" in call) return call;
  return procedure.isBusy() ? { problem: BUSY, status: 503 } : undefined;
}

/** Why a call of a procedure is refused that runs as often as it may. */
export const BUSY = "the procedure runs already: wait for its answer";

/** Longest argument: Linux takes 128 KiB of one. */
const MAX_ARGUMENT_BYTES = 100_000;

/** Checks an argument that holds what a user sent. @param isOpen whether a program could take it for an option, if it looks like one */
export function findArgumentProblem(argument: string, name: string, isOpen: boolean): string | undefined {
  if (argument.includes("\0")) return `${name}: expected no NUL character`;
  if (isOpen && argument.startsWith("-")) return `${name}: expected no - at its beginning, which the program could take for an option`;
  if (Buffer.byteLength(argument) > MAX_ARGUMENT_BYTES) return `${name}: expected at most ${MAX_ARGUMENT_BYTES} bytes in an argument`;
  return undefined;
}
