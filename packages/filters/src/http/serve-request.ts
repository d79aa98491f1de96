import type { AnswerRules } from "../rules/answer-rules.ts";
import { type HeadVerdict, judgeHead, judgeRest, type RequestVerdict } from "../rules/judge-request.ts";
import type { CompiledHttpRule, CompiledHttpRules } from "../rules/http-rules.ts";
import type { BodyCondition } from "../rules/request-conditions.ts";
import type { LiveRules } from "../rules/live-rules.ts";
import type { FilterTools, Judgement } from "../run/filter-kind.ts";
import type { DeviceWebSocket } from "../websocket/device-web-socket.ts";
import type { AnswerWriter } from "./answer-writer.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { Deadline } from "./deadline.ts";
import type { DeviceRequest, ForwardResult, Responder } from "./device-link.ts";
import type { DeviceAddress } from "../run/device-address.ts";
import { type HeldMemory, holdBody, type NotHeld } from "./held-body.ts";
import { describeJudgedBody, findOtherReading } from "./judged-body.ts";
import type { RequestBody } from "./request-body.ts";
import type { ClientRequest } from "./request-reader.ts";
import { inspectRequest, type StrictRequest } from "./strict-request.ts";
import { summarise } from "./summary.ts";

/** What every connection of a filter shares. */
export interface FilterContext extends Pick<FilterTools<CompiledHttpRules>, "onDecision" | "clock" | "logger"> {
  /** A device, or what answers in its place, made for each connection. */
  readonly device: DeviceAddress | (() => Responder);
  readonly rules: LiveRules<CompiledHttpRules>;
  readonly memory: HeldMemory;
  /** To the device, of all connections: also of clients that have left, until it has taken what they sent last. */
  readonly deviceSockets: Set<DeviceWebSocket>;
}

/** What becomes of the client's connection: it goes on, is ended in order, is dropped, or ends with an answer of the filter. */
export type Outcome =
  | "done"
  | "close"
  | "drop"
  | { readonly status: number; readonly error: string; readonly rule?: string; readonly because: string };

interface Exchange {
  readonly context: FilterContext;
  readonly request: ClientRequest;
  /** Expects the answer to this request. */
  readonly writer: AnswerWriter;
  readonly device: Responder;
  readonly holdDeadline: Deadline;
  /** Does what was waited for; what it throws ends the connection. */
  readonly attempt: (run: () => void) => void;
  /** Called once, when the request was served; never when the client leaves before. */
  readonly settle: (outcome: Outcome) => void;
}

/** Judges one request, and has the device answer it when it is allowed. What its head tells is decided at once. */
export function serveRequest(exchange: Exchange): void {
  const { context } = exchange;
  const request = inspectRequest(exchange.request);
  if ("problem" in request) {
    return refuse(exchange, { status: 400, rule: "strict", because: request.problem, summary: summarise(exchange.request) });
  }
  const rules = context.rules.current;
  const head = judgeHead(rules, { ...request, hasBody: hasBody(request) });
  if (request.upgrade !== undefined) {
    const because = head.decision === "block" ? head.because : "the filter passes on no upgrade of this kind";
    return refuse(exchange, { status: 403, rule: head.rule, because, summary: summarise(request) });
  }
  if (head.decision === "block") return conclude(exchange, { rules, request, head, judged: head });
  const condition = head.matched?.conditions?.body;
  if (condition === undefined) return conclude(exchange, { rules, request, head, judged: judgeRest(head, undefined) });
  holdAndJudge(exchange, { rules, request, head, condition });
}

/** Tells what was decided, and does it. */
function conclude(
  exchange: Exchange,
  { rules, request, head, judged }: { rules: CompiledHttpRules; request: StrictRequest; head: HeadVerdict; judged: Judged },
): void {
  const { context } = exchange;
  const { body } = exchange.request;
  const isShadow = rules.mode === "shadow";
  const told = { rule: judged.rule, summary: summarise(request), message: describe(request, head, judged) };
  const { matched } = head;
  if (judged.decision === "block") {
    if (!isShadow) return refuse(exchange, { ...told, status: judged.status, because: judged.because });
    context.onDecision({ direction: "in", mode: "shadow", decision: "block", because: judged.because, ...told });
    const answers = head.decision === "allow" ? head.matched?.answers : rules.answers;
    return forward(exchange, { outgoing: passAsItIs(request, body, judged.held), request, answers, rule: judged.rule, matched, isShadow });
  }
  const changes = judged.changed === undefined ? {} : { because: judged.changed };
  context.onDecision({ direction: "in", mode: rules.mode, decision: "allow", ...changes, ...told });
  const answers = judged.matched === undefined ? rules.answers : judged.matched.answers;
  const outgoing = isShadow ? passAsItIs(request, body, judged.held) : writeAnew(request, body, { judged, answers });
  return forward(exchange, { outgoing, request, answers, rule: judged.rule, matched, isShadow });
}

type Judged = (
  | Extract<RequestVerdict, { decision: "allow" }>
  | {
      readonly decision: "block";
      readonly rule: string;
      readonly because: string;
      readonly status?: number | undefined;
      readonly value?: unknown;
    }
) & {
  /** The body as it came. */
  readonly held?: Buffer;
};

/** Holds the body, and judges it by the rules that are in force when all of it is there. */
function holdAndJudge(
  exchange: Exchange,
  begun: {
    readonly rules: CompiledHttpRules;
    readonly request: StrictRequest;
    readonly head: Extract<HeadVerdict, { decision: "allow" }>;
    readonly condition: BodyCondition;
  },
): void {
  const { context, writer, holdDeadline, attempt } = exchange;
  const { request, condition } = begun;
  const { rule } = begun.head;
  const block = (because: string, status?: number) =>
    conclude(exchange, { ...begun, judged: { decision: "block", rule, because, status } });
  if (!hasBody(request)) return conclude(exchange, { ...begun, judged: judgeRest(begun.head, Buffer.alloc(0)) });
  const otherReading = findOtherReading(request, condition);
  if (otherReading !== undefined) return block(otherReading);
  if (typeof request.body === "number" && request.body > condition.limitBytes) return block(tooLarge(condition), 413);
  if (request.expectsContinue) writer.continue();
  const judge = (held: Buffer | NotHeld) => {
    const rules = context.rules.current;
    const head = rules === begun.rules ? begun.head : judgeHead(rules, { ...request, hasBody: true });
    const judged: Judged = Buffer.isBuffer(held) ? { ...judgeHeld(head, held), held } : { decision: "block", rule, ...held };
    conclude(exchange, { rules, request, head, judged });
  };
  holdBody(exchange.request.body, { limitBytes: condition.limitBytes, memory: context.memory, deadline: holdDeadline }, (held) =>
    attempt(() => judge(held)),
  );
}

function judgeHeld(head: HeadVerdict, held: Buffer): Judged {
  if (head.decision === "block") return head;
  const condition = head.matched?.conditions?.body;
  if (condition !== undefined && held.length > condition.limitBytes) {
    return { decision: "block", rule: head.rule, status: 413, because: tooLarge(condition) };
  }
  return judgeRest(head, condition === undefined ? undefined : held);
}

function tooLarge({ limitBytes }: BodyCondition): string {
  return `the body is larger than ${limitBytes} bytes, the most that is judged`;
}

/** Has the device answer, and tells what the rules say of its answer. */
function forward(
  exchange: Exchange,
  to: {
    readonly outgoing: DeviceRequest;
    readonly request: StrictRequest;
    readonly answers: AnswerRules | undefined;
    readonly rule: string;
    readonly matched: CompiledHttpRule | undefined;
    readonly isShadow: boolean;
  },
): void {
  const { outgoing, request, answers, isShadow } = to;
  const answer = new ClientAnswer(exchange.writer, {
    method: request.method,
    expectsContinue: request.expectsContinue,
    rules: answers,
    isShadow,
    memory: exchange.context.memory,
  });
  const settle = (result: ForwardResult) => {
    answer[Symbol.dispose]();
    exchange.attempt(() => exchange.settle(judgeResult(exchange.context, to, { answer, result })));
  };
  exchange.device.forward(outgoing, answer, settle, to.matched);
}

function judgeResult(
  context: FilterContext,
  { request, answers, rule, isShadow }: { request: StrictRequest; answers: AnswerRules | undefined; rule: string; isShadow: boolean },
  { answer, result }: { answer: ClientAnswer; result: ForwardResult },
): Outcome {
  if (answers === undefined && (result === "done" || result === "close")) return result;
  const { refusal, changed, status } = answer;
  const summary = `${status} ${request.method} ${request.target}`;
  const told = { direction: "out", rule, mode: isShadow ? "shadow" : "enforce", summary } as const;
  if (refusal !== undefined) {
    context.onDecision({ ...told, decision: "block", because: refusal });
    if (!isShadow) return { status: 502, error: "refused by filter", rule, because: refusal };
  } else if (answers !== undefined && result === "done") {
    context.onDecision({ ...told, decision: "allow", ...(changed === undefined ? {} : { because: changed }) });
  }
  if (result === "done" || result === "close") return result;
  if (result === "broken") return "drop";
  context.logger.warn("the device could not be asked", { summary, because: result.because });
  return { status: result.status, error: result.status === 504 ? "device timed out" : "device unreachable", because: result.because };
}

/** Tells that a message is refused. */
function refuse(
  { context, settle }: Exchange,
  {
    status = 403,
    rule,
    because,
    summary,
    message,
  }: { status?: number | undefined; message?: unknown } & Pick<Judgement, "rule" | "summary"> & { because: string },
): void {
  context.onDecision({
    direction: "in",
    mode: "enforce",
    decision: "block",
    rule,
    because,
    summary,
    ...(message === undefined ? {} : { message }),
  });
  settle({ status, error: "refused by filter", rule, because });
}

function hasBody({ body }: StrictRequest): boolean {
  return body !== "none" && body !== 0;
}

/** The request from its parsed form: what was judged is written anew. */
function writeAnew(
  request: StrictRequest,
  streamed: RequestBody,
  { judged, answers }: { judged: Extract<Judged, { decision: "allow" }>; answers: AnswerRules | undefined },
): DeviceRequest {
  const { method } = request;
  const { target, body, matched } = judged;
  const headers = answers?.body !== undefined ? withoutReadingsOfAnswers(request.headers) : request.headers;
  if (body !== undefined) return { method, target, headers: describeJudgedBody(headers), body };
  if (matched?.conditions?.body !== undefined) return { method, target, headers, body: undefined };
  return { method, target, headers, body: judged.held ?? stream(request, streamed) };
}

/** On trial: what was held, or streams. */
function passAsItIs(request: StrictRequest, streamed: RequestBody, held: Buffer | undefined): DeviceRequest {
  const { method, target, headers } = request;
  return { method, target, headers, body: held === undefined || held.length === 0 ? stream(request, streamed) : held };
}

function stream(request: StrictRequest, streamed: RequestBody): DeviceRequest["body"] {
  const { body, expectsContinue } = request;
  return body === "none" || body === 0 ? undefined : { stream: streamed, sizeBytes: body, expectsContinue };
}

/** An answer of which fields are removed must come whole, and not compressed. */
function withoutReadingsOfAnswers(headers: readonly string[]): string[] {
  return headers.filter((_text, index) => !/^(?:accept-encoding|range|if-range|te)$/i.test(headers[index - (index % 2)] ?? ""));
}

function describe(request: StrictRequest, head: HeadVerdict, judged: Judged): unknown {
  const mark = request.target.indexOf("?");
  const query =
    (head.decision === "allow" ? head.query : undefined) ??
    (mark === -1 ? {} : Object.fromEntries(new URLSearchParams(request.target.slice(mark))));
  const path = mark === -1 ? request.target : request.target.slice(0, mark);
  const procedure = head.matched?.procedure?.source;
  return {
    method: request.method,
    path,
    query,
    ...(procedure === undefined ? {} : { procedure }),
    ...(judged.value === undefined ? {} : { body: judged.value }),
  };
}
