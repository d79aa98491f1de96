import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import { ResetWatch } from "@hardshare/runtime/sockets";

/** Idle time after which the system begins to check a user's connection (tcp(7), keep-alive). */
const TCP_KEEP_ALIVE_MS = 30_000;

/** A public port that is bound. Disposing it unbinds the port; connections that came through it stay. */
export interface BoundPort extends Disposable {
  /** Where the hub itself can knock on it, to come in like a user; null where that cannot be. */
  readonly knockAt: { host: string; port: number } | null;
}

/** Binds exactly this port of an address. @throws AppError `port_in_use` when it can't be bound */
export type BindPort = (address: string, port: number, onConnection: (socket: Socket) => void) => Promise<BoundPort>;

export const bindPublicPort: BindPort = async (address, port, onConnection) => {
  const resets = new ResetWatch();
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS });
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => {}); // `close` follows
    resets.add(socket); // else those of users who gave up keep their places for as long as the hardware takes nothing
    onConnection(socket);
  });
  server.listen({ port, host: address, exclusive: true });
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new AppError("port_in_use", `cannot bind public port ${port} on ${address}: ${(cause as Error).message}`, {
      details: { port },
      cause,
    });
  }
  server.on("error", () => {}); // a connection that could not be accepted concerns its user alone
  return { knockAt: { host: reachable(address), port }, [Symbol.dispose]: () => void server.close() };
};

/** An address at which something that is bound to `bindHost` can be reached from here. */
function reachable(bindHost: string): string {
  return bindHost === "0.0.0.0" || bindHost === "::" ? "127.0.0.1" : bindHost;
}
