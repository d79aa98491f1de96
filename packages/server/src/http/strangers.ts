import type { Server } from "node:http";
import type { Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { Logger } from "@hardshare/runtime";
import { HalfOpenLimit } from "@hardshare/wire/ssh";
import { refuseConnection } from "./error-answers.ts";

/** Connections on which nothing has shown yet who is there: of one address (of IPv6: 64 bits), and in all. */
export const MAX_STRANGERS = { perSource: 256, total: 4096 };
/** Connections with one token; more stay strangers. */
export const MAX_CONNECTIONS_PER_TOKEN = 1024;

/**
 * Limits how many connections of an HTTP server strangers can hold, by silence, by requests without end, or by doing
 * nothing after an answer. One too many of a source is answered 503 and closed; when all places are taken the oldest of the
 * source that has most makes room. Whoever shows a valid token or a pinned key is no stranger any more. Proxies of ours
 * are not limited: they stand for many.
 */
export class Strangers {
  readonly #limit = new HalfOpenLimit(MAX_STRANGERS);
  /** What gives back the place of a connection that is still a stranger's. */
  readonly #places = new WeakMap<Socket, () => void>();
  readonly #tokens = new Map<string, number>();
  readonly #isProxy: (address: string) => boolean;
  readonly #logger: Logger;

  constructor(options: { isProxy: (address: string) => boolean; logger: Logger }) {
    this.#isProxy = options.isProxy;
    this.#logger = options.logger;
  }

  /** Looks at every connection from now on. */
  watch(server: Server): void {
    server.on("connection", (socket: Socket) => {
      const address = socket.remoteAddress ?? "";
      if (this.#isProxy(address)) return;
      const release = this.#limit.admit(address, () => socket.destroy());
      if (release === undefined) return this.#refuse(socket, address);
      this.#places.set(socket, release);
      socket.once("close", release);
    });
  }

  /** This connection's other side has shown who it is, by a token (its hash) or, without one, by the key of a host or hub. */
  recognize(socket: Socket, tokenSha256?: string): void {
    const release = this.#places.get(socket);
    if (release === undefined || (tokenSha256 !== undefined && !this.#countToken(socket, tokenSha256))) return;
    this.#places.delete(socket);
    release();
  }

  #countToken(socket: Socket, token: string): boolean {
    const count = this.#tokens.get(token) ?? 0;
    if (count >= MAX_CONNECTIONS_PER_TOKEN || socket.destroyed) return false;
    this.#tokens.set(token, count + 1);
    socket.once("close", () => {
      const left = (this.#tokens.get(token) ?? 0) - 1;
      if (left > 0) this.#tokens.set(token, left);
      else this.#tokens.delete(token);
    });
    return true;
  }

  #refuse(socket: Socket, address: string): void {
    this.#logger.warn("a connection was refused: too many of its source have not shown who they are", { address });
    const error = new AppError(
      "busy",
      `${MAX_STRANGERS.perSource} connections from your address are open without a token; close some, then try again`,
    );
    refuseConnection(socket, error);
  }
}
