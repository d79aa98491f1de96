import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { WebSocketServer } from "ws";
import { type CompiledHttpRules, matchHttp } from "../rules/http-rules.ts";
import { judgeHead, judgeRest } from "../rules/judge-request.ts";
import { CONNECT_TIMEOUT_MS } from "./device-link.ts";
import type { DeviceAddress } from "../run/device-address.ts";
import type { FilterContext, Outcome } from "./serve-request.ts";
import type { ClientRequest } from "./request-reader.ts";
import { DeviceWebSocket } from "../websocket/device-web-socket.ts";
import { relaySocket } from "./socket-relay.ts";
import { inspectRequest, type StrictRequest } from "./strict-request.ts";
import { summarise } from "./summary.ts";

interface Upgrade {
  readonly context: FilterContext;
  readonly request: ClientRequest;
  /** Paused, and nobody reads it any more. */
  readonly socket: Socket;
  /** What came after the request. */
  readonly head: Buffer;
}

/**
 * Serves a request for another protocol: a WebSocket that a rule allows becomes two, one with the client and one with
 * the device, and each message is judged and written anew. Settles with `done` when the client has been accepted.
 */
export async function serveUpgrade(upgrade: Upgrade): Promise<Outcome> {
  const { context } = upgrade;
  const summary = summarise(upgrade.request);
  const refuse = (status: number, rule: string, because: string): Outcome => {
    context.onDecision({ direction: "in", mode: "enforce", decision: "block", rule, because, summary });
    return { status, error: "refused by filter", rule, because };
  };
  const request = inspectRequest(upgrade.request);
  if ("problem" in request) return refuse(400, "strict", request.problem);
  const rules = context.rules.current;
  if (request.upgrade !== "websocket" || request.method !== "GET") {
    const head = judgeHead(rules, { ...request, hasBody: false });
    return refuse(403, head.rule, head.decision === "block" ? head.because : "the filter passes on no upgrade but GET to a WebSocket");
  }
  const match = matchHttp(rules, "WS", request.path);
  if (match.decision === "block" && rules.mode === "enforce") return refuse(403, match.rule, match.because);
  const problem = findSocketProblem(request, upgrade.request);
  if (problem !== undefined) return refuse(400, "strict", problem);
  const { device } = context;
  if (typeof device === "function") return refuse(403, "strict", "there is no device that could open a WebSocket");
  if (context.deviceSockets.size >= MAX_DEVICE_SOCKETS) {
    const because = `${MAX_DEVICE_SOCKETS} WebSockets are open to the device, the most that may be: try again`;
    return refuse(503, "strict", because);
  }
  const verdict = judgeSocket(rules, request);
  const target = verdict.decision === "allow" && rules.mode === "enforce" ? verdict.target : request.target;
  if (verdict.decision === "block" && rules.mode === "enforce") return refuse(403, verdict.rule, verdict.because);
  const { decision, rule } = verdict;
  context.onDecision({
    direction: "in",
    mode: rules.mode,
    decision,
    rule,
    summary,
    ...(verdict.decision === "block" ? { because: verdict.because } : {}),
  });
  return connect(
    { ...upgrade, device },
    { ...request, target },
    verdict.decision === "allow" ? verdict.matched?.socket?.limitBytes : undefined,
  );
}

function judgeSocket(rules: CompiledHttpRules, request: StrictRequest) {
  const head = judgeHead(rules, { ...request, method: "WS", hasBody: false });
  return head.decision === "block" ? head : judgeRest(head, undefined);
}

/** What keeps a handshake from being one that all read in the same way (RFC 6455 §4.2.1). */
function findSocketProblem({ body }: StrictRequest, { rawHeaders, version }: ClientRequest): string | undefined {
  const headers = joinHeaders(rawHeaders);
  if (version !== "1.1") return "a WebSocket needs HTTP/1.1";
  if (body !== "none" && body !== 0) return "a request for a WebSocket has no body";
  if (headers["sec-websocket-version"] !== "13") return "expected 13 as Sec-WebSocket-Version";
  if (!/^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "")) return "expected 16 bytes in base64 as Sec-WebSocket-Key";
  return listProtocols(headers["sec-websocket-protocol"]) === undefined
    ? "expected names in Sec-WebSocket-Protocol, none twice"
    : undefined;
}

/** By small names; what is given several times is joined. */
function joinHeaders(rawHeaders: readonly string[]): Record<string, string> {
  const joined: Record<string, string> = {};
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    const before = joined[name];
    joined[name] = before === undefined ? (rawHeaders[index + 1] ?? "") : `${before}, ${rawHeaders[index + 1]}`;
  }
  return joined;
}

function listProtocols(text: string | undefined): string[] | undefined {
  if (text === undefined) return [];
  const names = text.split(",").map((name) => name.trim());
  return names.every((name) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) && new Set(names).size === names.length ? names : undefined;
}

/** Clients that have left leave theirs behind until the device has taken what they sent last. */
const MAX_DEVICE_SOCKETS = 512;
/** Messages are compressed on both sides for whoever asks for it; small ones are not worth it. */
const COMPRESSION = { threshold: 1024 };
/** Largest message of a WebSocket that no rule says the size for. */
const MESSAGE_LIMIT_BYTES = 1024 ** 2;

/** Connects the device first: what it says of protocols is what the client is told. */
function connect(
  upgrade: Upgrade & { readonly device: DeviceAddress },
  request: StrictRequest,
  limitBytes = MESSAGE_LIMIT_BYTES,
): Promise<Outcome> {
  const { context, socket, head } = upgrade;
  const headers = joinHeaders(upgrade.request.rawHeaders);
  const device = dial(upgrade.device, request, { protocols: listProtocols(headers["sec-websocket-protocol"]) ?? [], limitBytes });
  context.deviceSockets.add(device);
  device.followReset(socket);
  device.once("close", () => context.deviceSockets.delete(device));
  return new Promise((resolve) => {
    const fail = (because: string) => {
      device.terminate();
      context.logger.warn("the device could not be asked", { summary: summarise(upgrade.request), because });
      resolve({ status: 502, error: "device unreachable", because: `the device opened no WebSocket: ${because}` });
    };
    const leave = () => fail("the client has left");
    socket.once("close", leave);
    device.once("unexpected-response", (_request, answer) => {
      fail(`it answered ${answer.statusCode}`);
      answer.destroy();
    });
    device.on("error", (error) => fail(error.message));
    device.once("open", () => {
      device.pause();
      const acceptor = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        maxPayload: limitBytes,
        perMessageDeflate: COMPRESSION,
        handleProtocols: () => (device.protocol === "" ? false : device.protocol),
      });
      socket.resume();
      // All that the library reads of it.
      const handshake = { method: request.method, headers } as unknown as IncomingMessage;
      acceptor.handleUpgrade(handshake, socket, head, (client) => {
        socket.off("close", leave); // not before: the library may refuse what the client asks of compression
        relaySocket({ context, client, device, path: request.path, summary: summarise(upgrade.request) });
        device.resume();
      });
      resolve("done");
    });
  });
}

function dial(
  address: DeviceAddress,
  request: StrictRequest,
  { protocols, limitBytes }: { protocols: string[]; limitBytes: number },
): DeviceWebSocket {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  const headers: Record<string, string[]> = {};
  for (let index = 0; index + 1 < request.headers.length; index += 2) {
    const name = request.headers[index] ?? "";
    if (!name.toLowerCase().startsWith("sec-websocket-")) (headers[name.toLowerCase()] ??= []).push(request.headers[index + 1] ?? "");
  }
  return new DeviceWebSocket(`ws://${host}:${address.port}${request.target}`, protocols, {
    headers: headers as unknown as Record<string, string>,
    handshakeTimeout: CONNECT_TIMEOUT_MS,
    followRedirects: false,
    maxPayload: limitBytes,
    perMessageDeflate: COMPRESSION,
  });
}
