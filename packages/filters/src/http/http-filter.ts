import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { RunningFilter } from "../run/filter-kind.ts";
import { listen } from "../run/listen.ts";
import { ClientConnection } from "./client-connection.ts";
import { HeldMemory } from "./held-body.ts";
import type { FilterContext } from "./serve-request.ts";

export interface HttpFilterOptions extends Omit<FilterContext, "memory"> {
  /** Address to listen at. */
  readonly host: string;
  /** Port to listen at; 0 for a free one. */
  readonly port: number;
}

/** Connections beyond this are dropped as they come. */
const MAX_CONNECTIONS = 512;
/** How long a client may take to send the head of a request. */
const HEADERS_TIMEOUT_MS = 30_000;
/** How long a connection without a request stays open. */
const KEEP_ALIVE_TIMEOUT_MS = 60_000;

/**
 * The `http` filter: a reverse proxy in front of one device. It works on Node's strict parser and writes every request
 * anew from its parsed form: bytes of a client never reach the device.
 * Resolves when it listens. Dispose it to drop every connection.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function startHttpFilter(options: HttpFilterOptions): Promise<RunningFilter> {
  const connections = new Map<Socket, ClientConnection>();
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: false, // judged with the rest of the request, so that the answer comes in its turn
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0, // a body may stream for as long as its client likes
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.maxHeadersCount = 0; // none may be left out unseen; their total size is bounded by the parser (16 kB)
  const context: FilterContext = { ...options, memory: new HeldMemory() };
  server.on("connection", (socket) => {
    connections.set(socket, new ClientConnection(socket, context));
    socket.once("close", () => connections.delete(socket));
  });
  const accept = (incoming: IncomingMessage, response: ServerResponse) => connections.get(incoming.socket)?.accept(incoming, response);
  server.on("request", accept);
  server.on("checkContinue", accept);
  server.on("checkExpectation", accept);
  server.on("upgrade", (incoming, stream, head) => {
    connections.get(stream as Socket)?.upgrade(incoming, head);
  });
  server.on("connect", (_incoming, stream) => {
    connections.get(stream as Socket)?.refuseTunnel();
  });
  server.on("clientError", (error: NodeJS.ErrnoException & { reason?: string }, stream) => {
    const connection = connections.get(stream as Socket);
    if (connection === undefined || error.code === "HPE_CLOSED_CONNECTION") return; // what comes after `Connection: close` is nothing
    const status = STATUS_OF_PARSER_ERROR[error.code ?? ""] ?? (error.code?.startsWith("HPE_") ? 400 : undefined);
    if (status === undefined) connection.drop();
    else connection.refuseMalformed(status, `the request is malformed: ${error.reason ?? error.message}`);
  });
  const address = await listen(server, options);
  return {
    address,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const connection of connections.values()) connection.drop();
      await closed;
    },
  };
}

const STATUS_OF_PARSER_ERROR: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};
