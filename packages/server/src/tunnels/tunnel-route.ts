import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Database, InstanceDetails } from "@hardshare/db";
import { AppError, type InstanceId, SERVER_USERNAME } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import { ResetWatch } from "@hardshare/runtime/sockets";
import { openThroughHub } from "@hardshare/wire/ssh";
import type { WebSocket } from "ws";
import type { TokenService } from "../features/tokens/token-service.ts";
import type { Identify } from "../http/authentication.ts";
import type { Caller } from "../http/caller.ts";
import { OpenLimit } from "../http/open-limit.ts";
import type { Strangers } from "../http/strangers.ts";
import type { UpgradeRoute } from "../http/upgrades.ts";
import type { WakeUpRouter } from "../wake-ups/wake-up-router.ts";
import { DRAIN_MS, pumpTunnel } from "./pump.ts";
import { admitReadyCaller, setUpConnection } from "./ready-caller.ts";
import { watchReady } from "./watch-ready.ts";

/** Largest WebSocket message from a user; the bytes of one are held while the instance does not read. */
const MAX_MESSAGE_BYTES = 256 * 1024;
/** Tunnels of one instance at the same time, at this replica. */
const MAX_TUNNELS_PER_INSTANCE = 256;
/** Tunnels that one user may be opening at the same time, and all together: a host that is away holds each up for seconds. */
const MAX_OPENING = { perKey: 256, total: 900 };
/** How long a user's side may take to close after a cut. */
const CLOSE_GRACE_MS = 500;

export interface TunnelDeps {
  database: Database;
  wakeUps: WakeUpRouter;
  identify: Identify;
  addressOf: (request: IncomingMessage) => string;
  strangers: Strangers;
  tokens: TokenService;
  /** The server's identity key, with which it logs in at hubs. */
  identity: { privateKey: string };
  clock: Clock;
  logger: Logger;
}

/**
 * `GET /tunnel/<instanceId>`, a WebSocket whose binary frames are bytes to and from the instance, for networks that let
 * nothing else through. For the instance's user only, while it is READY; cut when it no longer is, or the token ends.
 */
export function tunnelRoute(deps: TunnelDeps): UpgradeRoute {
  const resets = new ResetWatch();
  const opening = new OpenLimit({ what: "tunnels that are being opened", ...MAX_OPENING });
  const counts = new Map<string, number>();
  const changeCount = (id: string, by: number) => {
    const count = (counts.get(id) ?? 0) + by;
    if (count > 0) counts.set(id, count);
    else counts.delete(id);
  };

  return {
    path: /^\/tunnel\/([^/]+)$/,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    async prepare(request, parameter) {
      const { id, caller, found } = await admitReadyCaller(deps, request, parameter);
      if ((counts.get(id) ?? 0) >= MAX_TUNNELS_PER_INSTANCE) {
        throw new AppError("busy", `${MAX_TUNNELS_PER_INSTANCE} tunnels to this instance are open already; close some`);
      }
      const opens = opening.enter(caller.user);
      changeCount(id, 1);
      // Until the stream is open and the WebSocket stands, the end of the request ends the attempt.
      const attempt = new AbortController();
      const abandon = () => attempt.abort(new AppError("connection_lost", "the user closed the connection"));
      request.socket.once("close", abandon);
      if (request.socket.destroyed) abandon(); // left meanwhile, which is not told again
      try {
        attempt.signal.throwIfAborted();
        const stream = await openStream(deps, found, request, attempt.signal);
        stream.once("close", () => changeCount(id, -1));
        setUpConnection(request);
        resets.add(request.socket); // else those of users who gave up keep their places for as long as the hardware takes nothing
        return (socket) => {
          request.socket.off("close", abandon);
          carry(deps, { id, caller, socket, stream });
        };
      } catch (error) {
        request.socket.off("close", abandon);
        changeCount(id, -1);
        throw error;
      } finally {
        opens[Symbol.dispose]();
      }
    },
  };
}

async function openStream(
  deps: TunnelDeps,
  { instance, hub }: InstanceDetails,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Duplex> {
  if (hub.address === null) throw new AppError("no_hub", "the hub of this instance has never been connected; try again");
  return openThroughHub({
    host: hub.address.publicHost,
    port: hub.address.sshPort,
    hostKey: hub.sshHostKey,
    username: SERVER_USERNAME,
    privateKey: deps.identity.privateKey,
    destination: instance.id,
    originAddress: deps.addressOf(request),
    originPort: request.socket.remotePort ?? 0,
    signal,
    clock: deps.clock,
  });
}

/** Carries bytes until either side ends, the instance is no longer READY, or the token no longer good. */
function carry(deps: TunnelDeps, tunnel: { id: InstanceId; caller: Caller; socket: WebSocket; stream: Duplex }): void {
  const { id, caller, socket, stream } = tunnel;
  const cut = (reason: string) => {
    stream.destroy();
    socket.close(1008, reason);
    deps.clock.after(CLOSE_GRACE_MS, () => socket.terminate());
  };
  const watch = watchReady(deps, { id, caller }, cut);
  socket.once("close", () => {
    if (!stream.closed) {
      const drain = deps.clock.after(DRAIN_MS, () => stream.destroy());
      stream.once("close", () => drain[Symbol.dispose]());
    }
    watch[Symbol.dispose]();
  });
  pumpTunnel(socket, stream, deps.clock);
}
