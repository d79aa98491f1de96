import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { Logger } from "@hardshare/runtime";

/**
 * Has the server of a filter listen.
 * @returns `host:port` at which it does; an IPv6 host is in brackets
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function listen(server: Server, { host, port, logger }: { host: string; port: number; logger: Logger }): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const options = { details: { host, port }, cause };
    throw code === "EADDRINUSE"
      ? new AppError("port_in_use", `Port ${port} of ${host} is in use: choose another, or 0 for a free one.`, options)
      : new AppError("not_configured", `The filter cannot listen at ${host}:${port}: ${message}`, options);
  }
  // A connection that could not be accepted, for want of file descriptors for instance: the others go on.
  server.on("error", (error) => logger.warn("a connection was not accepted", { error }));
  const { address, port: bound, family } = server.address() as AddressInfo;
  return `${family === "IPv6" ? `[${address}]` : address}:${bound}`;
}
