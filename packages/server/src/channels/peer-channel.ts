import type { IncomingMessage } from "node:http";
import type { Transaction } from "@hardshare/db";
import type { PeerRole } from "@hardshare/protocol";
import { AppError } from "@hardshare/protocol";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { acceptChannel, type AcceptChannelOptions, type FrameChannel, type MessageSocket } from "@hardshare/wire";
import { MAX_MESSAGE_BYTES, wrapWebSocket } from "@hardshare/wire/node";
import { HalfOpenLimit, sameKey, signWith, verifyWith } from "@hardshare/wire/ssh";
import type { WebSocket } from "ws";
import { disposeOnClose } from "../http/dispose-on-close.ts";
import type { Strangers } from "../http/strangers.ts";
import type { UpgradeRoute } from "../http/upgrades.ts";
import { Refresher } from "../wake-ups/refresher.ts";
import type { WakeUpRouter } from "../wake-ups/wake-up-router.ts";
import type { ConnectedPeers } from "./connected-peers.ts";
import type { Presence } from "./presence.ts";

/** Connections of one role that have not proved who they are yet, of one source and in all; each has a few seconds for it. */
const MAX_NOT_GREETED = { perSource: 256, total: 2000 };

export interface PeerChannelDeps {
  presence: Presence;
  connected: ConnectedPeers;
  wakeUps: WakeUpRouter;
  identity: { privateKey: string; publicKey: string };
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** A connection of a peer. */
export interface PeerSocket extends MessageSocket {
  /** Settles when the peer answers a ping of the connection itself; never when it does not. */
  ping(): Promise<true>;
}

type HelloFields = Parameters<
  AcceptChannelOptions<{ id: string; version: number; session: string; nonce: string; signature: string }, never>["admit"]
>[0];

/** What to answer, and where to look again because something that was said does not fit (`null`: everywhere). */
export interface Heard<Out> {
  answer?: Out;
  lookAgain?: string | null;
  /** The answer waits until the peer has been sent what was found there. */
  isAnsweredAfterLook?: boolean;
}

/** Messages of one peer that are taken together: with each transaction written at once, a busy peer costs fewer of them. */
const MAX_BATCH = 64;

/** What a channel of one role says and hears. */
export interface PeerProtocol<Hello extends HelloFields, In, Out> {
  role: PeerRole;
  scope(peerId: string): string;
  hello: AcceptChannelOptions<Hello, In>["hello"];
  receive: AcceptChannelOptions<Hello, In>["receive"];
  lookUpKey(id: string): Promise<string | undefined>;
  /**
   * Called before `welcome`, when the peer has proved its key and has no other connection, in the transaction in which
   * it becomes connected; throws to refuse it.
   */
  admit(tx: Transaction, hello: Hello): Promise<void>;
  /** What should be, in all (`null`) or at one place; nothing when there is nothing to say. */
  desired(peerId: string, detail: string | null): Promise<Out | null>;
  /** Takes messages that wait, in their order. */
  receiveMessages(peerId: string, messages: readonly In[]): Promise<Heard<Out>[]>;
}

/** The way to the channels of one role, over WebSockets. */
export function peerChannelRoute<Hello extends HelloFields, In, Out>(
  protocol: PeerProtocol<Hello, In, Out>,
  deps: PeerChannelDeps & { addressOf: (request: IncomingMessage) => string; strangers: Strangers },
): UpgradeRoute {
  const notGreeted = new HalfOpenLimit(MAX_NOT_GREETED);
  return {
    path: new RegExp(`^/channel/${protocol.role}$`),
    maxMessageBytes: MAX_MESSAGE_BYTES,
    prepare: async (request) => {
      const address = deps.addressOf(request);
      const logger = deps.logger.child({ channel: protocol.role, address });
      const release = notGreeted.admit(address, () => request.socket.destroy());
      if (release === undefined) {
        throw new AppError(
          "busy",
          `${MAX_NOT_GREETED.perSource} connections of ${protocol.role}s from your address have not said who they are; try again in a moment`,
        );
      }
      disposeOnClose(request.socket, { [Symbol.dispose]: release });
      return (socket) => {
        const peer = { ...wrapWebSocket(socket), ping: () => ping(socket) };
        const onGreeted = () => {
          release();
          deps.strangers.recognize(request.socket);
        };
        return servePeer(protocol, { ...deps, logger }, peer, onGreeted).catch((error: unknown) => {
          // A peer that goes before it is greeted is no failure of ours.
          const isOurs = !(error instanceof AppError) ? socket.readyState === socket.OPEN : error.code === "internal";
          logger[isOurs ? "error" : "info"]("a channel was not opened", { error });
        });
      };
    },
  };
}

/**
 * The server's end of one channel, until it ends. It gets the whole desired state when it opens, then that of each
 * place where something changed. Any failure of ours closes it: the peer connects again and everything is looked at anew.
 * @param onGreeted called when the peer has proved who it is
 * @throws AppError why the peer was not admitted
 */
export async function servePeer<Hello extends HelloFields, In, Out>(
  protocol: PeerProtocol<Hello, In, Out>,
  deps: PeerChannelDeps,
  socket: PeerSocket,
  onGreeted: () => void,
): Promise<void> {
  const connectionId = deps.random.uuid();
  let entered: string | undefined;
  let reason: string;
  try {
    const { hello, channel } = await acceptChannel<Hello, In, Out>({
      socket,
      role: protocol.role,
      hello: protocol.hello,
      receive: protocol.receive,
      ...deps.identity,
      lookUpKey: (id) => protocol.lookUpKey(id),
      async admit(hello) {
        const peer = { role: protocol.role, peerId: hello.id, session: hello.session, connectionId };
        const connection = { ping: () => socket.ping(), cut: () => socket.destroy() };
        await deps.presence.enter(peer, connection, (tx) => protocol.admit(tx, hello));
        entered = hello.id;
      },
      now: () => new Date(deps.clock.now()),
      crypto: { sign: signWith, verify: verifyWith, sameKey },
      clock: deps.clock,
      random: deps.random,
    });
    onGreeted();
    deps.logger.info(`${protocol.role} connected`, { id: hello.id });
    reason = await converse(protocol, deps, { connectionId, hello, channel });
  } finally {
    socket.destroy();
    if (entered !== undefined) await deps.presence.leave({ role: protocol.role, peerId: entered, connectionId });
  }
  deps.logger.info(`${protocol.role} disconnected`, { id: entered, reason });
}

/** @returns why the channel ended */
async function converse<Hello extends HelloFields, In, Out>(
  protocol: PeerProtocol<Hello, In, Out>,
  deps: PeerChannelDeps,
  talk: { connectionId: string; hello: Hello; channel: FrameChannel<In, Out> },
): Promise<string> {
  const { hello, channel, connectionId } = talk;
  const peerId = hello.id;
  const fail = (error: unknown) => {
    deps.logger.error(`a channel is closed because of a failure here; the ${protocol.role} connects again`, { id: peerId, error });
    channel.close("failure at the server; connect again");
  };
  const look = async (detail: string | null) => {
    if (detail === null && !(await deps.presence.isCurrent({ role: protocol.role, peerId, connectionId }))) {
      return channel.close("replaced by a newer connection");
    }
    const desired = await protocol.desired(peerId, detail);
    if (desired !== null) channel.send(desired);
  };
  const refresher = new Refresher((detail) => deps.wakeUps.look(() => look(detail)), fail);
  using _subscription = deps.wakeUps.subscribe(protocol.scope(peerId), (detail) => refresher.request(detail));
  using _connected = deps.connected.add(protocol.role, peerId, (message: Out) => channel.send(message));
  refresher.request(null);
  channel.handleBatches(MAX_BATCH, async (messages) => {
    try {
      for (const { answer, lookAgain, isAnsweredAfterLook } of await protocol.receiveMessages(peerId, messages)) {
        if (lookAgain !== undefined) refresher.request(lookAgain);
        if (isAnsweredAfterLook === true) await refresher.settled();
        if (answer !== undefined) channel.send(answer);
      }
    } catch (error) {
      fail(error);
    }
  });
  const reason = await channel.closed;
  await refresher.stop();
  return reason;
}

/** Settles when the peer's WebSocket answers a ping (RFC 6455 §5.5.2); never when it does not. */
function ping(socket: WebSocket): Promise<true> {
  return new Promise((resolve) => {
    socket.once("pong", () => resolve(true));
    socket.ping(undefined, undefined, () => {});
  });
}
