import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { AppError } from "@hardshare/protocol";
import { cut, onOrderlyEnd } from "@hardshare/runtime/sockets";

/** Connections carried at the same time; further ones are closed at once. */
export const MAX_FORWARDED_CONNECTIONS = 256;

export interface ServeTunnelOptions {
  /** Address to listen on, 127.0.0.1 unless told otherwise. */
  host?: string;
  /** Port to listen on; 0: a free one. */
  port: number;
  /** Opens the way for one accepted connection. */
  open: (signal: AbortSignal) => Promise<Duplex>;
  /** Told about a connection that could not be carried; the others go on. */
  onProblem: (error: unknown) => void;
}

export interface ServedTunnel extends AsyncDisposable {
  host: string;
  port: number;
}

/**
 * Listens locally and carries every connection through a way of its own. Disposing it closes all of them.
 * @throws AppError `port_in_use`
 */
export async function serveTunnel(options: ServeTunnelOptions): Promise<ServedTunnel> {
  const { host = "127.0.0.1", port, open, onProblem } = options;
  const ending = new AbortController();
  const carriedNow = new Set<Promise<void>>();
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) => {
    const carried = carry(socket, open, ending.signal).catch((error: unknown) => {
      if (!ending.signal.aborted) onProblem(error);
    });
    carriedNow.add(carried);
    void carried.finally(() => carriedNow.delete(carried));
  });
  server.maxConnections = MAX_FORWARDED_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(
        new AppError("port_in_use", `can't listen on ${host}:${port} (${error.code}); choose another port with --local-port`, {
          details: { host, port },
          cause: error,
        }),
      );
    });
    server.listen({ host, port }, resolve);
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      ending.abort();
      await Promise.all(carriedNow);
      await closed;
    },
  };
}

/** Carries one connection until both directions have ended. */
async function carry(socket: Socket, open: ServeTunnelOptions["open"], signal: AbortSignal): Promise<void> {
  const gone = new AbortController();
  const both = AbortSignal.any([signal, gone.signal]);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {}); // its close says enough
  void closed.then(() => gone.abort());
  const leave = () => socket.destroy();
  signal.addEventListener("abort", leave, { once: true });
  let problem: unknown;
  try {
    const stream = await open(both);
    stream.once("error", (error) => (problem = error));
    let isWhole = false;
    stream.once("end", () => (isWhole = true));
    stream.once("close", () => (isWhole ? socket.destroySoon() : cut(socket)));
    void closed.then(() => stream.destroy());
    socket.pipe(stream, { end: false });
    onOrderlyEnd(socket, () => stream.end());
    stream.pipe(socket);
    await closed;
  } catch (error) {
    if (!both.aborted) problem = error;
  } finally {
    signal.removeEventListener("abort", leave);
    socket.destroy();
  }
  if (problem !== undefined) throw problem;
}
