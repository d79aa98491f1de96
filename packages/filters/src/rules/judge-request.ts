import { type CompiledHttpRule, type CompiledHttpRules, matchHttp } from "./http-rules.ts";
import { findCallProblem } from "./procedure.ts";
import { explain, judgeBody } from "./request-conditions.ts";

/** What rules look at in a request, besides its body. */
export interface RequestHead {
  /** As sent, or `WS` for a WebSocket. */
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** Decoded segments of the path. */
  readonly path: readonly string[];
  readonly hasBody: boolean;
}

/** What the rules say about the head of a request. */
export type HeadVerdict =
  | {
      readonly decision: "allow";
      readonly rule: string;
      /** The rule that matched; undefined for the default. */
      readonly matched: CompiledHttpRule | undefined;
      /** The target, with the query written anew when it was judged. */
      readonly target: string;
      /** Decoded segments of the path. */
      readonly path: readonly string[];
      readonly query: Readonly<Record<string, unknown>> | undefined;
      readonly changed: string | undefined;
    }
  | { readonly decision: "block"; readonly rule: string; readonly because: string; readonly matched?: CompiledHttpRule };

/** Judges all that can be told before the body has come, but for limits. */
export function judgeHead(rules: CompiledHttpRules, { method, target, path, hasBody }: RequestHead): HeadVerdict {
  const match = matchHttp(rules, method, path);
  if (match.decision === "block") return match;
  const { rule, matched } = match;
  const conditions = matched?.conditions;
  if (matched === undefined || conditions === undefined) {
    return { decision: "allow", rule, matched, target, path, query: undefined, changed: undefined };
  }
  const block = (problem: string): HeadVerdict => ({ decision: "block", rule, because: explain(problem, matched.because), matched });
  const problem = conditions.path?.(path);
  if (problem !== undefined) return block(problem);
  if (conditions.hasBody !== undefined && conditions.hasBody !== hasBody) {
    return block(conditions.hasBody ? "a body is missing" : "expected no body");
  }
  if (conditions.query === undefined) return { decision: "allow", rule, matched, target, path, query: undefined, changed: undefined };
  const mark = target.indexOf("?");
  const query = conditions.query.check(mark === -1 ? undefined : target.slice(mark + 1));
  if ("problem" in query) return block(query.problem);
  const text = mark === -1 ? target : target.slice(0, mark);
  return {
    decision: "allow",
    rule,
    matched,
    target: query.text === "" ? text : `${text}?${query.text}`,
    path,
    query: query.values,
    changed: query.changed,
  };
}

/** What the rules say about a whole request. */
export type RequestVerdict =
  | {
      readonly decision: "allow";
      readonly rule: string;
      readonly matched: CompiledHttpRule | undefined;
      readonly target: string;
      /** The body written anew; undefined when it was not judged, or is missing. */
      readonly body: Buffer | undefined;
      readonly value: unknown;
      readonly query: Readonly<Record<string, unknown>> | undefined;
      readonly changed: string | undefined;
    }
  | {
      readonly decision: "block";
      readonly rule: string;
      readonly because: string;
      readonly value?: unknown;
      /** Of the answer, when it is not that for what is refused. */
      readonly status?: number;
    };

/**
 * Judges the rest, after the head was allowed: the body, then limits, which are used up by this.
 * @param body all of it; undefined when its rule does not judge it
 */
export function judgeRest(head: Extract<HeadVerdict, { decision: "allow" }>, body: Buffer | undefined): RequestVerdict {
  const { rule, matched, target, query } = head;
  const conditions = matched?.conditions;
  let { changed } = head;
  let value: unknown;
  let bytes: Buffer | undefined;
  if (conditions?.body !== undefined) {
    const verdict = judgeBody(conditions.body, body ?? Buffer.alloc(0));
    if ("problem" in verdict) return { decision: "block", rule, because: explain(verdict.problem, matched?.because) };
    ({ value, bytes } = verdict);
    if (verdict.changed !== undefined) changed = changed === undefined ? verdict.changed : `${changed}; ${verdict.changed}`;
  }
  const call = matched?.procedure && findCallProblem(matched.procedure, { path: head.path, target, body: bytes });
  if (call !== undefined) return { decision: "block", rule, because: explain(call.problem, matched?.because), value, status: call.status };
  const problem = conditions?.limits?.take(conditions.counts === "query" ? query : value);
  if (problem !== undefined) return { decision: "block", rule, because: explain(problem, matched?.because), value };
  return { decision: "allow", rule, matched, target, body: bytes, value, query, changed };
}
