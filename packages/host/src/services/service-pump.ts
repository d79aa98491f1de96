import { createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import type { InstanceService } from "./instance-service.ts";
import { joinSockets } from "./join-sockets.ts";

/**
 * The daemon's half of a service: a Unix socket, to which the relay connects for each connection that a program in the
 * container makes, carried to the service. (The relay itself lies in the container's network and cannot reach it.)
 */
export class ServicePump implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param path of the socket, in a folder that only the relay's user can enter */
  static async listen(path: string, service: InstanceService): Promise<ServicePump> {
    await rm(path, { force: true }); // of a daemon that was killed
    const server = createServer({ allowHalfOpen: true });
    const pump = new ServicePump(server);
    server.on("connection", (socket) => void pump.#carry(socket, service));
    server.listen({ path, writableAll: true });
    await once(server, "listening");
    return pump;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  async #carry(socket: Socket, service: InstanceService): Promise<void> {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {}); // it is closed after that
    try {
      const target = await service.dial();
      if (socket.destroyed) target.destroy();
      else joinSockets(socket, target);
    } catch {
      socket.destroy(); // the loss of a service is reported where it is watched
    }
  }
}
