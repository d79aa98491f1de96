import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import ssh2 from "ssh2";
import type { ChannelClock, ChannelLogger } from "../channel/needs.ts";
import { type ChannelRequest, ChannelTable } from "./channel-table.ts";
import { HalfOpenLimit } from "./half-open-limit.ts";
import { LOGIN_TIMEOUT_MS, MAX_LOGIN_BYTES, MAX_LOGIN_REPLY_BYTES } from "./limits.ts";
import { type Liveness, watchLiveness } from "./liveness.ts";
import { internalsOf } from "./ssh2-internals.ts";

/** Keys that a client may try (OpenSSH's default is the same). */
const MAX_LOGIN_ATTEMPTS = 6;
/** Requests to log in, by whatever method: a client asks once by `none`, then up to twice for each key. */
const MAX_LOGIN_REQUESTS = 20;

/**
 * Key exchanges that take no time worth mentioning: ssh2 computes them on the main thread, and strangers can make it,
 * which with the large groups of classic Diffie-Hellman takes milliseconds each.
 */
const KEX: ssh2.KexAlgorithm[] = ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256"];
/** Those that OpenSSH has too, authenticated ones first. */
const CIPHERS: ssh2.CipherAlgorithm[] = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes256-ctr",
];

/** All that ssh2 offers by default, without those on SHA-1. */
const MACS: ssh2.MacAlgorithm[] = ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"];

/** A client that has logged in. */
export interface SshSession<Who> {
  who: Who;
  address: string;
  port: number;
  channels: ChannelTable;
  /** Ends the connection at once, with a reset: what is under way in either direction is lost. */
  cut(): void;
}

/** What a client that has logged in may do; all else is refused. */
export interface SessionRules {
  liveness: Liveness;
  /** It asks for a stream to somewhere (`direct-tcpip`). */
  onStream(request: ChannelRequest): void;
  /** It asks that an address and port be forwarded to it. @returns whether it may */
  onForward(address: string, port: number): boolean;
  onForwardCancelled(address: string, port: number): void;
  onClose(): void;
}

export interface SshServerOptions<Who> {
  /** SSH host key: a private key file's text. */
  hostKey: string;
  /** @param key the decoded public key @returns who that is, or undefined when they may not log in */
  logIn(username: string, key: Buffer): Who | undefined;
  onSession(session: SshSession<Who>): SessionRules;
  clock: ChannelClock;
  logger: ChannelLogger;
}

/**
 * An SSH server that carries forwarded streams for clients with public keys and does nothing else. Connections that
 * have not logged in are limited in time, in attempts, in bytes, and in number for each source (see `HalfOpenLimit`).
 */
export class SshServer<Who> implements AsyncDisposable {
  readonly #options: SshServerOptions<Who>;
  readonly #ssh: ssh2.Server;
  readonly #listener: Server;
  /** Every connection, with what ends its time as one that has not logged in. */
  readonly #sockets = new Map<Socket, () => void>();
  readonly #halfOpen = new HalfOpenLimit();

  constructor(options: SshServerOptions<Who>) {
    this.#options = options;
    this.#ssh = new ssh2.Server({
      hostKeys: [options.hostKey],
      ident: "hardshare",
      algorithms: { compress: ["none"], kex: KEX, cipher: CIPHERS, hmac: MACS },
      keepaliveInterval: 2 ** 31 - 1, // ours is `watchLiveness`; 0 would mean the library's default
    });
    this.#ssh.on("connection", (connection) => this.#onConnection(connection));
    this.#listener = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, (socket) => this.#onSocket(socket));
  }

  /** @returns the port @throws AppError `port_in_use` */
  async listen(port: number, address: string): Promise<number> {
    this.#listener.listen({ port, host: address });
    try {
      await once(this.#listener, "listening");
    } catch (cause) {
      throw new AppError(
        "port_in_use",
        `cannot listen for SSH on ${address} port ${port}: ${(cause as Error).message}; choose another one (--ssh-port)`,
        {
          details: { port },
          cause,
        },
      );
    }
    // A connection that could not be accepted, for want of file descriptors for instance: the others go on.
    this.#listener.on("error", (error) => this.#options.logger.warn("a connection was not accepted", { error }));
    return (this.#listener.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#listener.listening ? once(this.#listener, "close") : undefined;
    this.#listener.close();
    for (const socket of this.#sockets.keys()) socket.resetAndDestroy();
    await closed;
  }

  #onSocket(socket: Socket): void {
    socket.on("error", () => {}); // `close` follows
    const release = this.#halfOpen.admit(socket.remoteAddress ?? "", () => socket.resetAndDestroy());
    if (release === undefined) {
      this.#options.logger.warn("a connection was refused: too many wait for their login", { address: socket.remoteAddress });
      socket.resetAndDestroy();
      return;
    }
    const timer = this.#options.clock.after(LOGIN_TIMEOUT_MS, () => socket.destroy());
    const limitBytes = () => {
      if (socket.bytesRead > MAX_LOGIN_BYTES || socket.writableLength > MAX_LOGIN_REPLY_BYTES) socket.destroy();
    };
    const settle = () => {
      timer[Symbol.dispose]();
      release();
      socket.off("data", limitBytes);
    };
    this.#sockets.set(socket, settle);
    socket.once("close", () => {
      settle();
      this.#sockets.delete(socket);
    });
    this.#ssh.injectSocket(socket);
    socket.prependListener("data", limitBytes);
  }

  #onConnection(connection: ssh2.Connection): void {
    const internals = internalsOf(connection);
    const socket = internals._sock;
    let requests = 0;
    let attempts = 0;
    let who: Who | undefined;
    connection.on("error", () => socket.destroy());
    connection.on("authentication", (attempt) => {
      requests += 1;
      if (requests > MAX_LOGIN_REQUESTS) return socket.destroy();
      if (attempt.method !== "publickey") return attempt.reject(["publickey"]); // clients ask with `none` what there is
      attempts += 1;
      if (attempts > MAX_LOGIN_ATTEMPTS) return socket.destroy();
      const found = this.#options.logIn(attempt.username, attempt.key.data);
      if (found === undefined || !isStrong(attempt)) return attempt.reject(["publickey"]);
      if (attempt.signature !== undefined) {
        if (!isSigned(attempt)) return attempt.reject(["publickey"]);
        who = found;
      }
      attempt.accept(); // without a signature this only says that the key would do
    });
    connection.once("ready", () => {
      if (who === undefined) return void socket.destroy();
      this.#sockets.get(socket)?.();
      this.#serve(connection, who);
    });
  }

  #serve(connection: ssh2.Connection, who: Who): void {
    const internals = internalsOf(connection);
    const socket = internals._sock;
    const { clock } = this.#options;
    const channels = new ChannelTable(connection, { accepts: "direct-tcpip", onRequest: (request) => rules.onStream(request), clock });
    const rules = this.#options.onSession({
      who,
      address: socket.remoteAddress ?? "",
      port: socket.remotePort ?? 0,
      channels,
      cut: () => socket.resetAndDestroy(),
    });
    socket.once("close", () => rules.onClose());
    watchLiveness(socket, clock, rules.liveness, () => internals._protocol.ping());
    connection.on("request", (accept, reject, name, info) => {
      if (name === "tcpip-forward" && rules.onForward(info.bindAddr, info.bindPort)) return accept?.();
      if (name === "cancel-tcpip-forward") {
        rules.onForwardCancelled(info.bindAddr, info.bindPort);
        return accept?.();
      }
      return reject?.();
    });
  }
}

/** RSA signatures over SHA-1 can be forged; ssh2 names no hash for them. */
function isStrong(attempt: ssh2.PublicKeyAuthContext): boolean {
  return attempt.key.algo !== "ssh-rsa" || attempt.hashAlgo !== undefined;
}

function isSigned(attempt: ssh2.PublicKeyAuthContext): boolean {
  const { key, signature, blob, hashAlgo } = attempt;
  if (signature === undefined || blob === undefined) return false;
  const parsed = ssh2.utils.parseKey(`${key.algo} ${key.data.toString("base64")}`);
  if (parsed instanceof Error) return false;
  const result: unknown = parsed.verify(blob, signature, hashAlgo); // an Error, whatever its type says, when it could not check
  return result === true;
}
