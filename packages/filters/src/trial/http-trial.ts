import { once } from "node:events";
import { createServer, METHODS } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { AppError } from "@hardshare/protocol";
import { type Clock, Deferred, silentLogger } from "@hardshare/runtime";
import { WebSocket, WebSocketServer } from "ws";
import { httpFilterKind } from "../http/http-filter-kind.ts";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { fixedRules } from "../rules/live-rules.ts";
import type { FilterKind, Judgement, RunningFilter } from "../run/filter-kind.ts";
import type { Trial, TriedMessage } from "./trial.ts";

/** How long the filter may take to decide: longer means that it waits for the rest of the message. */
const DECIDED_WITHIN_MS = 3000;

/** What stands behind a filter that is tried out: it keeps what reaches it. */
interface TrialDevice extends AsyncDisposable {
  readonly reached: string[];
  onReached: () => void;
}

/**
 * Tries requests on the filter itself, in front of a device that answers 200 to everything. A message is
 * `METHOD /path [body]`, `WS /path message`, or a raw request.
 * @throws AppError `config_invalid`
 */
export async function openHttpTrial(rulesText: string, { file, clock }: { file: string; clock: Clock }): Promise<Trial> {
  const device = await startDevice();
  return openRequestTrial({ device, kind: httpFilterKind({ target: `127.0.0.1:${device.port}` }), rulesText, file, clock });
}

/** Tries requests on a filter that reads HTTP. @throws AppError `config_invalid` */
export async function openRequestTrial<Rules>(options: {
  readonly device: TrialDevice;
  readonly kind: FilterKind<Rules>;
  readonly rulesText: string;
  readonly file: string;
  readonly clock: Clock;
}): Promise<Trial> {
  const { device, kind, rulesText, file, clock } = options;
  let decided: (judgement: Judgement) => void = () => {};
  let filter: RunningFilter;
  try {
    const limits = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
    const rules = fixedRules(kind.parseRules(rulesText, file, limits));
    const onDecision = (judgement: Judgement) => decided(judgement);
    filter = await kind.start({ host: "127.0.0.1", port: 0, rules, onDecision, clock, logger: silentLogger });
  } catch (error) {
    await device[Symbol.asyncDispose]();
    throw error;
  }
  return {
    async try(message) {
      const decisions: Judgement[] = [];
      const first = new Deferred();
      const refused = new Deferred();
      decided = (judgement) => {
        if (decisions.push(judgement) === 1) first.resolve();
        if (judgement.decision === "block" && (judgement.mode === "enforce" || judgement.rule === "strict")) refused.resolve();
      };
      device.reached.length = 0;
      const arrived = new Deferred();
      device.onReached = () => arrived.resolve();
      const late = new Deferred();
      using _late = clock.after(DECIDED_WITHIN_MS, () => late.resolve());
      const socket = readSocketMessage(message);
      if (socket === undefined) await sendRequest(filter.address, rawRequest(message), { decided: first.promise, late: late.promise });
      else {
        const decided = socket.message === "" ? first.promise : Promise.race([refused.promise, arrived.promise]);
        await sendSocketMessage(filter.address, socket, { decided, late: late.promise });
      }
      return describe(message, decisions, device.reached);
    },
    async [Symbol.asyncDispose]() {
      await filter[Symbol.asyncDispose]();
      await device[Symbol.asyncDispose]();
    },
  };
}

function describe(message: string, decisions: readonly Judgement[], reached: readonly string[]): TriedMessage {
  const told = decisions.map(({ direction, decision, mode, rule, because, summary }) => ({
    direction,
    decision,
    mode,
    rule,
    ...(because === undefined ? {} : { because }),
    summary,
  }));
  return { message, decisions: told, reached: [...reached] };
}

/** Answers everything with 200, and keeps what reached it. */
async function startDevice() {
  const device = { onReached: () => {}, reached: [] as string[] };
  const reach = (message: string) => {
    device.reached.push(message);
    device.onReached();
  };
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer((request, response) => {
    text(request).then(
      (body) => {
        reach(`${request.method} ${request.url}${body === "" ? "" : ` ${body}`}`);
        response.end();
      },
      () => {}, // cut off: not a request
    );
  });
  server.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("message", (data: Buffer) => reach(`WS ${request.url} ${data.toString("utf8")}`));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(device, {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  });
}

interface Ends {
  /** Settles when the message has been judged. */
  readonly decided: Promise<void>;
  readonly late: Promise<void>;
}

/** Settles when the request has been judged and answered, or can't be. */
async function sendRequest(address: string, bytes: Buffer, { decided, late }: Ends): Promise<void> {
  const socket = connectTo(address);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {}); // "close" follows
  const answered = new Promise<void>((resolve) => {
    let received = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (/^HTTP\/1\.1 [2-9][^]*\r\n\r\n/m.test(received)) resolve();
    });
  });
  socket.write(bytes);
  await Promise.race([Promise.all([decided, answered]), closed, late]);
  socket.destroy();
}

async function sendSocketMessage(address: string, { path, message }: SocketMessage, { decided, late }: Ends): Promise<void> {
  const socket = new WebSocket(`ws://${address}${path}`);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {}); // "close" follows
  socket.once("open", () => {
    if (message !== "") socket.send(message);
  });
  await Promise.race([decided, closed, late]);
  socket.terminate();
  await closed;
}

function connectTo(address: string) {
  const at = address.lastIndexOf(":");
  return connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), noDelay: true });
}

interface SocketMessage {
  readonly path: string;
  readonly message: string;
}

function readSocketMessage(message: string): SocketMessage | undefined {
  const match = /^WS (\/\S*)(?: ([^]*))?$/.exec(message);
  return match === null ? undefined : { path: match[1] ?? "/", message: match[2] ?? "" };
}

/** A request as bytes: a raw one as it is, `METHOD /path [body]` as a client would send it. */
function rawRequest(message: string): Buffer {
  if (/^[^\r\n]* HTTP\/\d\.\d\r?\n/.test(message)) return Buffer.from(message);
  const match = /^([A-Za-z-]+) (\S+)(?: ([^]*))?$/.exec(message);
  const [, method = "", target = "", body = ""] = match ?? [];
  if (match === null || !METHODS.includes(method)) {
    throw new AppError(
      "bad_input",
      `expected \`METHOD /path [body]\`, \`WS /path message\` or a raw request, not: ${message.slice(0, 100)}`,
      {
        details: { field: "messages" },
      },
    );
  }
  const isJson = /^\s*[[{"]/.test(body);
  const head = [`${method} ${target} HTTP/1.1`, "Host: device", ...(isJson ? ["Content-Type: application/json"] : [])];
  if (body !== "") head.push(`Content-Length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
}
