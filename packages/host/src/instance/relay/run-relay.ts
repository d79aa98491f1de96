import { once } from "node:events";
import { connect, createServer, type ListenOptions, type Socket } from "node:net";
import { joinSockets } from "../../services/join-sockets.ts";
import { carryDatagrams } from "./carry-datagrams.ts";
import type { RelaySettings } from "./relay-settings.ts";

/** Connections in each direction at the same time; more are refused. */
const MAX_CONNECTIONS = 512;
/** Delays between attempts to reach a server inside that does not listen yet: nothing tells of a port that opens. */
const RETRY_FIRST_MS = 2;
const RETRY_MAX_MS = 40;
const GIVE_UP_AFTER_MS = 60_000;

/**
 * The relay of one instance: a process that has entered the container's network namespace, and nothing else of it. It
 * carries connections from a Unix socket outside to a port inside (SSH), and from ports inside to Unix sockets outside
 * (services). Before it carries a byte it drops to a user of its own, who can enter nothing but the sockets' folder.
 * It imports nothing but this folder and `join-sockets.ts`, so that it starts fast. Resolves when it carries.
 */
export async function runRelay(settings: RelaySettings): Promise<void> {
  process.chdir(settings.folder); // after dropping, the folders above it may be closed
  process.umask(0o077);
  const gate = new InwardGate(settings.inward.port);
  await listen({ path: settings.inward.socket }, (socket) => gate.carry(socket));
  for (const { port, socket: path } of settings.outward) {
    await listen({ host: "127.0.0.1", port }, (socket) => joinSockets(socket, connect({ path, allowHalfOpen: true })));
  }
  for (const { port, socket } of settings.datagrams) await carryDatagrams(port, socket);
  process.setgroups?.([]);
  process.setgid?.(settings.uid);
  process.setuid?.(settings.uid);
}

async function listen(where: ListenOptions, onConnection: (socket: Socket) => void): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(where);
  await once(server, "listening");
}

/** The way to a port inside. Until it accepted once, a connection waits for it; afterwards a refusal is one. */
class InwardGate {
  readonly #port: number;
  readonly #giveUpAt = performance.now() + GIVE_UP_AFTER_MS;
  #hasAccepted = false;

  constructor(port: number) {
    this.#port = port;
  }

  carry(outer: Socket): void {
    outer.on("error", () => {});
    this.#attempt(outer, RETRY_FIRST_MS);
  }

  #attempt(outer: Socket, retryMs: number): void {
    if (outer.destroyed) return;
    const inner = connect({ host: "127.0.0.1", port: this.#port, allowHalfOpen: true, noDelay: true });
    const refuse = () => {
      if (this.#hasAccepted || performance.now() > this.#giveUpAt) outer.destroy();
      else setTimeout(() => this.#attempt(outer, Math.min(2 * retryMs, RETRY_MAX_MS)), retryMs);
    };
    inner.once("error", refuse);
    inner.once("connect", () => {
      inner.off("error", refuse);
      this.#hasAccepted = true;
      if (outer.destroyed) inner.destroy();
      else joinSockets(outer, inner);
    });
  }
}
