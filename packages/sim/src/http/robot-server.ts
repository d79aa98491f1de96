import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { AppError, toAppError } from "@hardshare/protocol";
import type { Logger } from "@hardshare/runtime";
import type { Ledger } from "../ledger.ts";
import type { Action } from "./robot-api.ts";
import { untilListening } from "../until-listening.ts";

/** Largest request body. */
const MAX_BODY_BYTES = 64 * 1024;
/** Bytes kept of what is no request. */
const MAX_MALFORMED_BYTES = 256;
/** Connections beyond this are dropped as they come. */
const MAX_CONNECTIONS = 256;

export interface RobotServer extends AsyncDisposable {
  readonly port: number;
}

/**
 * Serves the robot's HTTP API and `GET /ledger`. Every request but that for the ledger is an entry of it as soon as its
 * head has arrived, also one that the robot then refuses, and so is what came and is no request: the first bytes of it.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function startRobotServer(options: {
  host: string;
  port: number;
  actions: readonly Action[];
  ledger: Ledger;
  logger: Logger;
}): Promise<RobotServer> {
  const { host, port, actions, ledger, logger } = options;
  const server = createServer((request, response) => {
    serve(request, response, actions, ledger).catch((error: unknown) => {
      if (response.destroyed) return; // the client has left
      logger.error("a request failed", { method: request.method, url: request.url, error });
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: toAppError(error).message });
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  const recordMalformed = (bytes: Buffer) => {
    const text = bytes.toString("latin1", 0, MAX_MALFORMED_BYTES);
    ledger.record({ channel: "http", kind: "act", action: "malformed", arguments: { bytes: text } })({ status: 400 });
  };
  server.on("clientError", (error: Error & { rawPacket?: Buffer }, socket) => {
    if (error.rawPacket !== undefined) recordMalformed(error.rawPacket);
    if (error.rawPacket !== undefined && socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    else socket.destroy();
  });
  server.on("connect", ({ method, url }: IncomingMessage, socket: Duplex, head: Buffer) => {
    recordMalformed(Buffer.concat([Buffer.from(`${method} ${url}\n`), head]));
    socket.destroy();
  });
  server.listen(port, host);
  await untilListening(server, { host, port });
  // A connection that could not be accepted, for want of file descriptors for instance: the others go on.
  server.on("error", (error) => logger.warn("a connection was not accepted", { error }));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, actions: readonly Action[], ledger: Ledger): Promise<void> {
  const { method = "", url = "" } = request;
  const isRead = method === "GET" || method === "HEAD";
  const mark = url.indexOf("?");
  const path = mark === -1 ? url : url.slice(0, mark);
  const query = Object.fromEntries(new URLSearchParams(mark === -1 ? "" : url.slice(mark)));
  if (isRead && path === "/ledger") {
    const after = Number(query["after"] ?? 0);
    if (!Number.isSafeInteger(after)) sendJson(response, 400, { error: "query: after: expected a sequence number", field: "after" });
    else sendJson(response, 200, ledger.read(after));
    return;
  }
  const complete = ledger.record({ channel: "http", kind: isRead ? "read" : "act", action: `${method} ${path}`, arguments: query });
  const reply = (status: number, body: Record<string, unknown> | Buffer) => {
    complete({ status });
    if (Buffer.isBuffer(body)) sendBytes(response, status, "image/png", body);
    else sendJson(response, status, body);
  };
  const ofPath = actions.filter((action) => action.path === path);
  const action = ofPath.find((candidate) => candidate.method === (method === "HEAD" ? "GET" : method));
  const text = await readBody(request);
  if (text === undefined) {
    response.setHeader("Connection", "close");
    reply(413, { error: `body: expected at most ${MAX_BODY_BYTES} bytes` });
  } else if (action !== undefined) {
    try {
      const body = parseBody(text);
      if (!isRead) complete({ arguments: typeof body === "object" && body !== null ? { ...body } : { body } });
      reply(200, await action.run({ query, body }));
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "bad_input") throw error;
      reply(400, { error: error.message, field: error.details["field"] });
    }
  } else if (ofPath.length > 0) {
    response.setHeader("Allow", ofPath.map((candidate) => candidate.method).join(", "));
    reply(405, { error: `${path} is for ${ofPath.map((candidate) => candidate.method).join(", ")}, not ${method}` });
  } else {
    reply(404, { error: `there is no ${path} here`, routes: actions.map((candidate) => `${candidate.method} ${candidate.path}`) });
  }
}

/** The body as text, or undefined when it is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop must not destroy the request: its connection still carries the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseBody(text: string): unknown {
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new AppError("bad_input", `body: expected JSON: ${(error as Error).message}`, { details: { field: "body" }, cause: error });
  }
}

function sendJson(response: ServerResponse, status: number, body: Record<string, unknown>): void {
  sendBytes(response, status, "application/json; charset=utf-8", Buffer.from(`${JSON.stringify(body)}\n`));
}

function sendBytes(response: ServerResponse, status: number, type: string, body: Buffer): void {
  response.writeHead(status, { "Content-Type": type, "Content-Length": body.length, "Cache-Control": "no-store" });
  response.end(body);
}
