import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { AppError } from "@hardshare/protocol";
import type { Logger, Random } from "@hardshare/runtime";
import { answerPings } from "@hardshare/wire/node";
import { type WebSocket, WebSocketServer } from "ws";
import { refuseConnection, unexpected } from "./error-answers.ts";

/** A WebSocket route: `path` must match the whole path; its first group is handed over. */
export interface UpgradeRoute {
  path: RegExp;
  /** Largest message that is accepted, in bytes. */
  maxMessageBytes: number;
  /**
   * Decides about a request before it becomes a WebSocket; throws an AppError to answer with that error instead.
   * @returns what to do with the socket; must not reject. Disposing waits for it.
   */
  prepare(request: IncomingMessage, parameter: string): Promise<(socket: WebSocket) => void | Promise<void>>;
}

/** Connections of one route that are neither answered nor upgraded yet, at most; more are refused at once. */
const MAX_PENDING = 1000;

/** Disposing cuts every WebSocket and waits for what was done with it. */
export interface ServedUpgrades extends AsyncDisposable {
  /** From now on requests are served; before, they are cut as if nobody listened yet. */
  open(): void;
}

/** Serves WebSocket routes on an HTTP server, once it is opened. */
export function serveUpgrades(server: Server, routes: readonly UpgradeRoute[], deps: { logger: Logger; random: Random }): ServedUpgrades {
  const prepared = routes.map((route) => ({
    ...route,
    pending: 0, // of each its own: those that wait long must not keep the others waiting
    sockets: new WebSocketServer({ noServer: true, maxPayload: route.maxMessageBytes, perMessageDeflate: false, autoPong: false }),
  }));
  const running = new Set<Promise<void>>();
  let isOpen = false;

  const run = (work: void | Promise<void>) => {
    if (work === undefined) return;
    running.add(work);
    void work.finally(() => running.delete(work));
  };
  const upgrade = async (request: IncomingMessage, connection: Duplex, head: Buffer): Promise<void> => {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    for (const route of prepared) {
      const match = route.path.exec(path);
      if (match === null) continue;
      if (route.pending >= MAX_PENDING) return void connection.destroy();
      route.pending += 1;
      const accept = await route.prepare(request, match[1] ?? "").finally(() => (route.pending -= 1));
      if (!isOpen) connection.destroy();
      else if (!connection.destroyed) {
        route.sockets.handleUpgrade(request, connection, head, (socket) => {
          answerPings(socket);
          run(accept(socket));
        });
      }
      return;
    }
    throw new AppError("unrecognized_command", "unrecognized command");
  };
  const onUpgrade = (request: IncomingMessage, connection: Duplex, head: Buffer): void => {
    connection.on("error", () => connection.destroy());
    if (!isOpen) {
      connection.destroy();
      return;
    }
    upgrade(request, connection, head).catch((error: unknown) =>
      refuseConnection(connection, unexpected(error, `upgrade ${request.url}`, deps)),
    );
  };
  server.on("upgrade", onUpgrade);

  return {
    open: () => void (isOpen = true),
    async [Symbol.asyncDispose]() {
      isOpen = false;
      for (const { sockets } of prepared) {
        for (const client of sockets.clients) client.terminate();
        await new Promise<void>((resolve) => sockets.close(() => resolve()));
      }
      await Promise.all(running);
      server.off("upgrade", onUpgrade);
    },
  };
}
