import type { IncomingMessage } from "node:http";
import { Heartbeat, type HeartbeatWish } from "@hardshare/protocol";
import type * as z from "zod";
import type { ConnectedPeers } from "../channels/connected-peers.ts";
import type { LiveDeployments } from "../features/estops/live-deployments.ts";
import { disposeOnClose } from "../http/dispose-on-close.ts";
import { OpenLimit } from "../http/open-limit.ts";
import type { Identify } from "../http/authentication.ts";
import type { Strangers } from "../http/strangers.ts";
import type { UpgradeRoute } from "../http/upgrades.ts";
import { admitReadyCaller, setUpConnection } from "./ready-caller.ts";
import { type WatchDeps, watchReady } from "./watch-ready.ts";

const MAX_MESSAGE_BYTES = 1024;
/** Senders for one instance, and in all, at this replica. */
const MAX_SENDERS = { perKey: 64, total: 10_000 };
/** Shares of the window after which another heartbeat is wanted: one or two may be lost. */
const PER_WINDOW = 4;
/** Heartbeats that come faster than a quarter of what is wanted are dropped: the next one is as good. */
const FASTEST = 1 / 4;

const Sent = Heartbeat.pick({ at: true, signature: true });

export interface HeartbeatDeps extends WatchDeps {
  identify: Identify;
  addressOf: (request: IncomingMessage) => string;
  strangers: Strangers;
  connected: ConnectedPeers;
  deployments: LiveDeployments;
}

/** `GET /heartbeat/<instanceId>` (see protocol's `heartbeatPath`), for the instance's user while it is READY. It believes nothing of a heartbeat: the host checks it. */
export function heartbeatRoute(deps: HeartbeatDeps): UpgradeRoute {
  const limit = new OpenLimit({ what: "senders of heartbeats", ...MAX_SENDERS });
  return {
    path: /^\/heartbeat\/([^/]+)$/,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    async prepare(request, parameter) {
      const { id, caller, found } = await admitReadyCaller(deps, request, parameter);
      const { instance, deployment } = found;
      disposeOnClose(request.socket, limit.enter(id));
      const { hostId } = deployment;
      const { epoch, deploymentId } = instance;
      return (socket) => {
        socket.on("error", () => {}); // it is closed after that
        const windowS = deps.deployments.deadManS(deploymentId);
        if (windowS === undefined || hostId === null) return socket.close(1000, "no dead-man's switch");
        const everyMs = (windowS * 1000) / PER_WINDOW;
        const watch = watchReady(deps, { id, caller }, (reason) => socket.close(1000, reason));
        socket.once("close", () => watch[Symbol.dispose]());
        setUpConnection(request);
        let lastMs = Number.NEGATIVE_INFINITY;
        socket.on("message", (data: Buffer, isBinary: boolean) => {
          const sent = isBinary ? undefined : readSent(data);
          if (sent === undefined) return socket.close(1008, "expected heartbeats");
          const nowMs = deps.clock.monotonicMs();
          if (nowMs - lastMs < everyMs * FASTEST) return;
          lastMs = nowMs;
          deps.connected.send("host", hostId, { type: "heartbeat", deploymentId, instanceId: id, epoch, ...sent });
        });
        socket.send(JSON.stringify({ everyMs } satisfies z.infer<typeof HeartbeatWish>));
      };
    },
  };
}

function readSent(data: Buffer): z.infer<typeof Sent> | undefined {
  try {
    return Sent.safeParse(JSON.parse(data.toString("utf8"))).data;
  } catch {
    return undefined;
  }
}
