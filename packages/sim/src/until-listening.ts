import { type EventEmitter, once } from "node:events";
import { AppError } from "@hardshare/protocol";

/**
 * Resolves when a server that was told to listen does.
 * @throws AppError `port_in_use`; `not_configured` when it can't listen there
 */
export async function untilListening(server: EventEmitter, { host, port }: { host: string; port: number }): Promise<void> {
  try {
    await once(server, "listening");
  } catch (error) {
    const cause = error as NodeJS.ErrnoException;
    const details = { host, port };
    throw cause.code === "EADDRINUSE"
      ? new AppError("port_in_use", `Port ${port} of ${host} is in use: choose another, or 0 for a free one.`, { details, cause })
      : new AppError("not_configured", `The robot cannot listen at ${host}:${port}: ${cause.message}`, { details, cause });
  }
}
