import { createServer } from "node:net";
import type { RunningFilter } from "../run/filter-kind.ts";
import { listen } from "../run/listen.ts";
import { ClientConnection } from "./client-connection.ts";
import { HeldMemory } from "./held-body.ts";
import type { FilterContext } from "./serve-request.ts";

export interface HttpFilterOptions extends Omit<FilterContext, "memory" | "deviceSockets"> {
  /** Address to listen at. */
  readonly host: string;
  /** Port to listen at; 0 for a free one. */
  readonly port: number;
}

/** Connections beyond this are dropped as they come. */
const MAX_CONNECTIONS = 512;

/**
 * The `http` filter: a reverse proxy in front of one device. It works on Node's strict parser and writes every request
 * anew from its parsed form: bytes of a client never reach the device.
 * Resolves when it listens. Dispose it to drop every connection.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function startHttpFilter(options: HttpFilterOptions): Promise<RunningFilter> {
  const connections = new Set<ClientConnection>();
  const context: FilterContext = { ...options, memory: new HeldMemory(), deviceSockets: new Set() };
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  server.maxConnections = MAX_CONNECTIONS;
  server.on("connection", (socket) => {
    const connection = new ClientConnection(socket, context);
    connections.add(connection);
    socket.once("close", () => connections.delete(connection));
  });
  const listening = await listen(server, options);
  const drop = () => {
    for (const socket of context.deviceSockets) socket.reset(); // first: nothing more passes
    for (const connection of connections) connection.cut();
  };
  return {
    get address() {
      return listening.address;
    },
    cutAll() {
      drop();
      return listening.renew();
    },
    async [Symbol.asyncDispose]() {
      const closed = listening.close();
      drop();
      await closed;
    },
  };
}
