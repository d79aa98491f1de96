import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { Logger } from "@hardshare/runtime";
import { ResetWatch } from "@hardshare/runtime/sockets";

/** A server of a filter that listens. */
export interface Listening {
  /** `host:port` at which it does; an IPv6 host is in brackets. */
  readonly address: string;
  /**
   * Begins anew, at another port unless one was asked for: connections that the kernel took and the server did not are
   * reset, so that nothing of them is ever read. @throws AppError as `listen`
   */
  renew(): Promise<void>;
  /** Accepts no more, at once. Settles when all connections have ended. */
  close(): Promise<void>;
}

/**
 * Has the server of a filter listen.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function listen(server: Server, { host, port, logger }: { host: string; port: number; logger: Logger }): Promise<Listening> {
  let address = "";
  const begin = async () => {
    server.listen(port, host);
    try {
      await once(server, "listening");
    } catch (cause) {
      throw describeProblem(cause as NodeJS.ErrnoException, { host, port });
    }
    address = addressOf(server);
  };
  await begin();
  const resets = new ResetWatch();
  server.on("connection", (socket) => resets.add(socket)); // the host resets connections of users who may pass nothing more
  // A connection that could not be accepted, for want of file descriptors for instance: the others go on.
  server.on("error", (error) => logger.warn("a connection was not accepted", { error }));
  return {
    get address() {
      return address;
    },
    renew() {
      server.close();
      return begin();
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function addressOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

function describeProblem(cause: NodeJS.ErrnoException, { host, port }: { host: string; port: number }): AppError {
  const options = { details: { host, port }, cause };
  return cause.code === "EADDRINUSE"
    ? new AppError("port_in_use", `Port ${port} of ${host} is in use: choose another, or 0 for a free one.`, options)
    : new AppError("not_configured", `The filter cannot listen at ${host}:${port}: ${cause.message}`, options);
}
