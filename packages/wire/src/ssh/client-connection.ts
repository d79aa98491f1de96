import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import ssh2 from "ssh2";
import type { ChannelClock } from "../channel/needs.ts";
import { type ChannelRequest, ChannelTable } from "./channel-table.ts";
import { LOGIN_TIMEOUT_MS } from "./limits.ts";
import { parsePublicKey } from "./public-key.ts";
import { internalsOf } from "./ssh2-internals.ts";

/** Where a hub is, which SSH host key it must hold, and who logs in with which private key. */
export interface HubLogin {
  host: string;
  port: number;
  /** An OpenSSH public key line; a hub with any other is refused. */
  hostKey: string;
  username: string;
  privateKey: string;
}

/** A connection to a hub, logged in. */
export interface ClientConnection {
  channels: ChannelTable;
  socket: Socket;
  /** Settles with the reason when the connection has closed. */
  closed: Promise<AppError>;
  /** Makes the hub say something. */
  ping(): void;
  /** Asks the hub to forward this address and port to us. @throws AppError when it refuses or the connection ends */
  forward(address: string, port: number): Promise<void>;
}

/** Idle time after which the system begins to check a connection (tcp(7), keep-alive). */
const TCP_KEEP_ALIVE_MS = 30_000;

export interface ConnectOptions {
  /** Ends the connection, or the attempt. */
  signal: AbortSignal;
  /** Gets the channels that the hub asks for. */
  onRequest: (request: ChannelRequest) => void;
  clock: ChannelClock;
}

/**
 * Connects to a hub and logs in.
 * @throws AppError `server_unreachable`, `identity_refused` (other SSH host key), `access_denied` (login refused),
 *   `cancelled` (signal), `timed_out`
 */
export async function connectToHub(login: HubLogin, { signal, onRequest, clock }: ConnectOptions): Promise<ClientConnection> {
  signal.throwIfAborted();
  const place = `the hub at ${login.host}:${login.port}`;
  const pinned = parsePublicKey(login.hostKey);
  const socket = connect({
    host: login.host,
    port: login.port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
  });
  const client = new ssh2.Client();
  let failure: AppError | undefined;
  const closed = new Promise<AppError>((resolve) => {
    socket.once("close", () => resolve(failure ?? new AppError("connection_lost", `${place} closed the connection`)));
  });
  client.on("error", (error) => {
    failure ??= explain(error, place, login.username);
    socket.destroy();
  });
  const abort = () => {
    failure ??= new AppError("cancelled", `the connection to ${place} is no longer wanted`);
    socket.destroy();
  };
  signal.addEventListener("abort", abort, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", abort));

  const ready = once(client, "ready");
  client.connect({
    sock: socket,
    username: login.username,
    privateKey: login.privateKey,
    authHandler: ["publickey"],
    algorithms: { compress: ["none"] },
    readyTimeout: LOGIN_TIMEOUT_MS,
    hostVerifier: (key: Buffer) => {
      const isPinned = key.equals(pinned.blob);
      failure ??= isPinned
        ? undefined
        : new AppError(
            "identity_refused",
            `${place} holds another SSH host key than the one that the server names: connection refused; if the hub was set up anew, register it again`,
          );
      return isPinned;
    },
  });
  const winner = await Promise.race([ready.catch(() => closed), closed]);
  if (winner instanceof AppError) throw winner;
  let channels: ChannelTable;
  try {
    channels = new ChannelTable(client, { accepts: "forwarded-tcpip", onRequest, clock });
  } catch (error) {
    socket.destroy();
    throw error;
  }

  return {
    channels,
    socket,
    closed,
    ping: () => internalsOf(client)._protocol.ping(),
    forward: (address, port) =>
      new Promise((resolve, reject) => {
        void closed.then(reject);
        client.forwardIn(address, port, (error) => {
          if (error === undefined) resolve();
          else reject(new AppError("access_denied", `${place} refused to forward port ${port}`, { cause: error }));
        });
      }),
  };
}

function explain(error: Error & { level?: string }, place: string, username: string): AppError {
  if (error instanceof AppError) return error;
  if (error.level === "client-authentication") {
    return new AppError("access_denied", `${place} does not let ${username} in with this key`, { cause: error });
  }
  if (error.level === "client-timeout") {
    return new AppError("timed_out", `${place} did not finish the login within ${LOGIN_TIMEOUT_MS / 1000} s`, { cause: error });
  }
  return new AppError("server_unreachable", `cannot reach ${place}: ${error.message}`, { cause: error });
}
