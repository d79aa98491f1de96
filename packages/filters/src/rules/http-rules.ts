import { METHODS } from "node:http";
import { type HttpAllowRule, HttpFilterRules } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import { type AnswerRules, compileAnswerRules } from "./answer-rules.ts";
import { LimitNames } from "./limit-names.ts";
import type { LimitKeeper } from "./limits.ts";
import { type CompiledMessageRules, compileMessageRules } from "./message-rules.ts";
import { compilePathTemplate, matchesExactly, matchesLoosely, type PathTemplate } from "./path-template.ts";
import type { Procedure } from "./procedure.ts";
import { BODY_LIMIT_BYTES, compileRequestConditions, isQueryField, type Refuse, type RequestConditions } from "./request-conditions.ts";

/** The rules of one `http` filter, ready to judge. */
export interface CompiledHttpRules {
  readonly default: "allow" | "block";
  /** `shadow`: the rules are on trial, and what they block passes. */
  readonly mode: "enforce" | "shadow";
  readonly rules: readonly CompiledHttpRule[];
  /** For answers to requests that no rule matches. */
  readonly answers: AnswerRules | undefined;
}

/** One rule, compiled. */
export interface CompiledHttpRule {
  readonly decision: "allow" | "block";
  /** As its owner wrote it, such as `POST /api/reboot`. */
  readonly pattern: string;
  /** Capital letters; `*` for any; `WS` for a WebSocket. */
  readonly method: string;
  readonly path: PathTemplate;
  readonly because: string | undefined;
  /** Of an `allow`: what it asks besides method and path. */
  readonly conditions: RequestConditions | undefined;
  readonly answers: AnswerRules | undefined;
  /** Of an `allow` for a WebSocket. */
  readonly socket: SocketRules | undefined;
  /** Of an `allow` of the `rpc` filter: what answers. */
  readonly procedure?: Procedure;
}

/** What may pass through a WebSocket: undefined for everything. */
export interface SocketRules {
  readonly in: CompiledMessageRules | undefined;
  readonly out: CompiledMessageRules | undefined;
  /** Largest message, either way. */
  readonly limitBytes: number;
}

/** Methods that are refused whatever the rules say: they ask for a tunnel, or echo what the filter sent. */
export const NEVER_ALLOWED_METHODS: ReadonlySet<string> = new Set(["CONNECT", "TRACE"]);

/** The method of a rule for WebSockets. */
const SOCKET = "WS";

/**
 * Rules from the text of a rules file; an empty one blocks everything.
 * @param file name for messages
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseHttpRules(text: string, file: string, limits: LimitKeeper): CompiledHttpRules {
  // What only a closer look at a rule can tell is an issue at that field.
  const compiled = HttpFilterRules.transform((source, context): CompiledHttpRules => {
    const refuse: Refuse = (path, message) => context.addIssue({ code: "custom", path: [...path], message });
    return compileHttpRules(source, limits, refuse);
  });
  return parseYamlWith(compiled, text, file);
}

/** Compiles rules. What is wrong with them goes to `refuse`. */
function compileHttpRules(source: HttpFilterRules, limits: LimitKeeper, refuse: Refuse): CompiledHttpRules {
  const names = new LimitNames();
  const rules = source.rules.flatMap((rule, index): CompiledHttpRule[] => {
    const decision = "allow" in rule ? "allow" : "block";
    const pattern = "allow" in rule ? rule.allow : rule.block;
    const blank = pattern.indexOf(" ");
    const method = pattern.slice(0, blank);
    const refuseField: Refuse = (path, message) => refuse(["rules", index, ...path], message);
    if (method !== "*" && method !== SOCKET && (!METHODS.includes(method) || NEVER_ALLOWED_METHODS.has(method))) {
      refuseField([decision], `expected a method that can occur, such as GET or POST, WS for a WebSocket, or * for any, not ${method}`);
    }
    const path = compilePathTemplate(pattern.slice(blank + 1));
    if ("problem" in path) {
      refuseField([decision], path.problem);
      return [];
    }
    const compiled = { decision, pattern, method, path, because: rule.because } as const;
    if (!("allow" in rule)) return [{ ...compiled, conditions: undefined, answers: undefined, socket: undefined }];
    refuseMisplaced(rule, method, refuseField);
    const { rate, budget } = rule;
    const name = names.next(pattern);
    const limitsOfRule = rate === undefined && budget === undefined ? undefined : limits.limitsOf({ name, rate, budget });
    const limitBytes = rule.body_limit ?? BODY_LIMIT_BYTES;
    const socketOptions = { of: name, limits, refuse: refuseField };
    return [
      {
        ...compiled,
        conditions: compileRequestConditions(rule, { template: path, method, limits: limitsOfRule, refuse: refuseField }),
        answers: compileAnswerRules([source.response, rule.response], limitBytes),
        socket: {
          in: rule.in && compileMessageRules(rule.in, { direction: "in", ...socketOptions }),
          out: rule.out && compileMessageRules(rule.out, { direction: "out", ...socketOptions }),
          limitBytes,
        },
      },
    ];
  });
  const answers = compileAnswerRules([source.response], BODY_LIMIT_BYTES);
  return { default: source.default, mode: source.mode, rules, answers };
}

/** Conditions on what a message of this kind does not have would never hold, or never be looked at. */
function refuseMisplaced(rule: HttpAllowRule, method: string, refuse: Refuse): void {
  const forSockets = ["in", "out"] as const;
  const forRequests = ["body", "clamp", "response"] as const;
  if (method === SOCKET) {
    for (const field of forRequests)
      if (rule[field] !== undefined) refuse([field], "expected it at the rules of `in` or `out`, for each message");
    return;
  }
  for (const field of forSockets)
    if (rule[field] !== undefined) refuse([field], "expected it at a rule for a WebSocket only (`allow: WS /path`)");
  refuseUnread(rule, refuse);
}

/** What is not read can be neither brought into range nor counted. */
export function refuseUnread(rule: Pick<HttpAllowRule, "body" | "query" | "clamp" | "budget">, refuse: Refuse): void {
  for (const place of Object.keys(rule.clamp ?? {})) {
    if (rule.body !== undefined || isQueryField(rule, place)) continue;
    refuse(["clamp", place], "expected `body` too, or a field of `query`: what is not read can't be brought into range");
  }
  if (typeof rule.budget === "object" && rule.budget.of !== undefined && rule.body === undefined && !isQueryField(rule, rule.budget.of)) {
    refuse(["budget", "of"], "expected `body` too, or a field of `query`: what is not read can't be counted");
  }
}

/** What the rules say about a message: the first rule that matches, else the default. */
export type HttpMatch =
  | { readonly decision: "allow"; readonly rule: string; readonly matched: CompiledHttpRule | undefined }
  | { readonly decision: "block"; readonly rule: string; readonly because: string };

/**
 * The first rule whose pattern matches a request, else the default; the conditions of an allow are still to be judged.
 * An allow matches only the very path and method; a block also what a device could take for them (letter case, a final
 * slash, `;parameters`, final dots and blanks, HEAD for GET), because devices differ and a block must hold for all of them.
 * @param method as sent, or `WS` for a WebSocket, which only an allow for it lets pass, and never the default
 * @param path decoded segments of the path
 */
export function matchHttp(rules: CompiledHttpRules, method: string, path: readonly string[]): HttpMatch {
  for (const rule of rules.rules) {
    if (rule.decision === "allow") {
      const isMethod = rule.method === method || (rule.method === "*" && method !== SOCKET);
      if (isMethod && matchesExactly(rule.path, path)) return { decision: "allow", rule: rule.pattern, matched: rule };
    } else if (blocksMethod(rule.method, method) && matchesLoosely(rule.path, path)) {
      return { decision: "block", rule: rule.pattern, because: rule.because ?? "the owner's filter rules block this request" };
    }
  }
  if (method === SOCKET) {
    return {
      decision: "block",
      rule: "default",
      because: "the filter passes on no upgrade that no filter rule of the owner allows (`WS /path`)",
    };
  }
  if (rules.default === "allow") return { decision: "allow", rule: "default", matched: undefined };
  return { decision: "block", rule: "default", because: "no filter rule of the owner allows this request" };
}

/** HEAD is a GET without the answer's body, and a WebSocket begins as a GET. */
function blocksMethod(blocked: string, method: string): boolean {
  return blocked === "*" || blocked === method || (blocked === "GET" && (method === "HEAD" || method === SOCKET));
}
