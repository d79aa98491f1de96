import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { AppError } from "@hardshare/protocol";

/** Idle time after which the system begins to check a user's connection (tcp(7), keep-alive). */
const TCP_KEEP_ALIVE_MS = 30_000;

/** One public TCP port of the hub. */
export class PublicPort implements Disposable {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** Binds exactly this port. @throws AppError `port_in_use` when it can't be bound */
  static async open(address: string, port: number, onConnection: (socket: Socket) => void): Promise<PublicPort> {
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS });
    server.on("connection", (socket: Socket) => {
      socket.on("error", () => {}); // `close` follows
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
    return new PublicPort(server, port);
  }

  /** Unbinds the port; connections that came through it stay. */
  [Symbol.dispose](): void {
    this.#server.close();
  }
}
