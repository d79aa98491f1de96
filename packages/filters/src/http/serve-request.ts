import type { IncomingMessage, ServerResponse } from "node:http";
import type { AnswerRules } from "../rules/answer-rules.ts";
import { type HeadVerdict, judgeHead, judgeRest, type RequestVerdict } from "../rules/judge-request.ts";
import type { CompiledHttpRules } from "../rules/http-rules.ts";
import type { BodyCondition } from "../rules/request-conditions.ts";
import type { LiveRules } from "../rules/live-rules.ts";
import type { FilterTools, Judgement } from "../run/filter-kind.ts";
import { ClientAnswer } from "./client-answer.ts";
import type { DeviceConnection } from "./device-connection.ts";
import type { DeviceAddress, DeviceRequest } from "./device-link.ts";
import { type HeldMemory, holdBody } from "./held-body.ts";
import { describeJudgedBody, findOtherReading } from "./judged-body.ts";
import { inspectRequest, type StrictRequest } from "./strict-request.ts";
import { summarise } from "./summary.ts";

/** What every connection of a filter shares. */
export interface FilterContext extends Pick<FilterTools<CompiledHttpRules>, "onDecision" | "clock" | "logger"> {
  readonly device: DeviceAddress;
  readonly rules: LiveRules<CompiledHttpRules>;
  readonly memory: HeldMemory;
}

/** What becomes of the client's connection: it goes on, is ended in order, is dropped, or ends with an answer of the filter. */
export type Outcome =
  | "done"
  | "close"
  | "drop"
  | { readonly status: number; readonly error: string; readonly rule?: string; readonly because: string };

interface Exchange {
  readonly context: FilterContext;
  readonly incoming: IncomingMessage;
  readonly response: ServerResponse;
  readonly device: DeviceConnection;
}

/** Judges one request, and has the device answer it when it is allowed. What its head tells is decided at once. */
export function serveRequest(exchange: Exchange): Outcome | Promise<Outcome> {
  const { context, incoming } = exchange;
  const request = inspectRequest(incoming);
  if ("problem" in request) return refuse(context, { status: 400, rule: "strict", because: request.problem, summary: summarise(incoming) });
  const rules = context.rules.current;
  const head = judgeHead(rules, { ...request, hasBody: hasBody(request) });
  if (request.upgrade !== undefined) {
    const because = head.decision === "block" ? head.because : "the filter passes on no upgrade of this kind";
    return refuse(context, { status: 403, rule: head.rule, because, summary: summarise(incoming) });
  }
  if (head.decision === "block") return conclude(exchange, { rules, request, head, judged: head });
  const condition = head.matched?.conditions?.body;
  if (condition === undefined) return conclude(exchange, { rules, request, head, judged: judgeRest(head, undefined) });
  return holdAndJudge(exchange, { rules, request, head, condition }).then((verdict) => conclude(exchange, { request, ...verdict }));
}

/** Tells what was decided, and does it. */
function conclude(
  exchange: Exchange,
  { rules, request, head, judged }: { rules: CompiledHttpRules; request: StrictRequest; head: HeadVerdict; judged: Judged },
): Outcome | Promise<Outcome> {
  const { context, incoming } = exchange;
  const isShadow = rules.mode === "shadow";
  const told = { rule: judged.rule, summary: summarise(incoming), message: describe(request, head, judged) };
  if (judged.decision === "block") {
    if (!isShadow) return refuse(context, { ...told, status: judged.status, because: judged.because });
    context.onDecision({ direction: "in", mode: "shadow", decision: "block", because: judged.because, ...told });
    const answers = head.decision === "allow" ? head.matched?.answers : rules.answers;
    return forward(exchange, { outgoing: passAsItIs(request, incoming, judged.held), request, answers, rule: judged.rule, isShadow });
  }
  const changes = judged.changed === undefined ? {} : { because: judged.changed };
  context.onDecision({ direction: "in", mode: rules.mode, decision: "allow", ...changes, ...told });
  const answers = judged.matched === undefined ? rules.answers : judged.matched.answers;
  const outgoing = isShadow ? passAsItIs(request, incoming, judged.held) : writeAnew(request, incoming, { judged, answers });
  return forward(exchange, { outgoing, request, answers, rule: judged.rule, isShadow });
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
async function holdAndJudge(
  { context, incoming, response }: Exchange,
  begun: {
    readonly rules: CompiledHttpRules;
    readonly request: StrictRequest;
    readonly head: Extract<HeadVerdict, { decision: "allow" }>;
    readonly condition: BodyCondition;
  },
): Promise<{ readonly rules: CompiledHttpRules; readonly head: HeadVerdict; readonly judged: Judged }> {
  const { request, condition } = begun;
  const { rule } = begun.head;
  const block = (because: string, status?: number) => ({ ...begun, judged: { decision: "block", rule, because, status } as const });
  if (!hasBody(request)) return { ...begun, judged: judgeRest(begun.head, Buffer.alloc(0)) };
  const otherReading = findOtherReading(request);
  if (otherReading !== undefined) return block(otherReading);
  if (typeof request.body === "number" && request.body > condition.limitBytes) return block(tooLarge(condition), 413);
  if (request.expectsContinue) response.writeContinue();
  const held = await holdBody(incoming, { limitBytes: condition.limitBytes, memory: context.memory, clock: context.clock });
  const rules = context.rules.current;
  const head = rules === begun.rules ? begun.head : judgeHead(rules, { ...request, hasBody: true });
  if (!Buffer.isBuffer(held)) return { rules, head, judged: { decision: "block", rule, ...held } };
  return { rules, head, judged: { ...judgeHeld(head, held), held } };
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

async function forward(
  { context, response, device }: Exchange,
  to: {
    readonly outgoing: DeviceRequest;
    readonly request: StrictRequest;
    readonly answers: AnswerRules | undefined;
    readonly rule: string;
    readonly isShadow: boolean;
  },
): Promise<Outcome> {
  const { outgoing, request, answers, rule, isShadow } = to;
  using answer = new ClientAnswer(response, {
    method: request.method,
    expectsContinue: request.expectsContinue,
    rules: answers,
    isShadow,
    memory: context.memory,
  });
  const result = await device.forward(outgoing, answer);
  const { refusal, changed, status } = answer;
  const told = {
    direction: "out",
    rule,
    mode: isShadow ? "shadow" : "enforce",
    summary: `${status} ${request.method} ${request.target}`,
  } as const;
  if (refusal !== undefined) {
    context.onDecision({ ...told, decision: "block", because: refusal });
    if (!isShadow) return { status: 502, error: "refused by filter", rule, because: refusal };
  } else if (answers !== undefined && result === "done") {
    context.onDecision({ ...told, decision: "allow", ...(changed === undefined ? {} : { because: changed }) });
  }
  if (result === "done" || result === "close") return result;
  if (result === "broken") return "drop";
  context.logger.warn("the device could not be asked", { summary: told.summary, because: result.because });
  return { status: result.status, error: result.status === 504 ? "device timed out" : "device unreachable", because: result.because };
}

/** Tells that a message is refused. */
function refuse(
  { onDecision }: FilterContext,
  {
    status = 403,
    rule,
    because,
    summary,
    message,
  }: { status?: number | undefined; message?: unknown } & Pick<Judgement, "rule" | "summary"> & { because: string },
): Outcome {
  onDecision({
    direction: "in",
    mode: "enforce",
    decision: "block",
    rule,
    because,
    summary,
    ...(message === undefined ? {} : { message }),
  });
  return { status, error: "refused by filter", rule, because };
}

function hasBody({ body }: StrictRequest): boolean {
  return body !== "none" && body !== 0;
}

/** The request from its parsed form: what was judged is written anew. */
function writeAnew(
  request: StrictRequest,
  incoming: IncomingMessage,
  { judged, answers }: { judged: Extract<Judged, { decision: "allow" }>; answers: AnswerRules | undefined },
): DeviceRequest {
  const { method } = request;
  const { target, body, matched } = judged;
  const headers = answers?.body !== undefined ? withoutReadingsOfAnswers(request.headers) : request.headers;
  if (body !== undefined) return { method, target, headers: describeJudgedBody(headers), body };
  if (matched?.conditions?.body !== undefined) return { method, target, headers, body: undefined };
  return { method, target, headers, body: judged.held ?? stream(request, incoming) };
}

/** On trial: what was held, or streams. */
function passAsItIs(request: StrictRequest, incoming: IncomingMessage, held: Buffer | undefined): DeviceRequest {
  const { method, target, headers } = request;
  return { method, target, headers, body: held === undefined || held.length === 0 ? stream(request, incoming) : held };
}

function stream(request: StrictRequest, incoming: IncomingMessage): DeviceRequest["body"] {
  const { body, expectsContinue } = request;
  if (body === "none" || body === 0) {
    incoming.resume();
    return undefined;
  }
  return { stream: incoming, sizeBytes: body, expectsContinue };
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
  return { method: request.method, path, query, ...(judged.value === undefined ? {} : { body: judged.value }) };
}
