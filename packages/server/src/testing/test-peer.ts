import { randomUUID } from "node:crypto";
import type { PeerRole } from "@hardshare/protocol";
import { BackOff, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { type ChannelClient, connectChannel, type ConnectChannelOptions } from "@hardshare/wire";
import { openWebSocket } from "@hardshare/wire/node";
import { sameKey, signWith, verifyWith } from "@hardshare/wire/ssh";
import type { Moments } from "./moments.ts";

export interface Identity {
  privateKey: string;
  publicKey: string;
}

/** Where and as whom a test's host or hub connects. */
export interface PeerOptions {
  url: string;
  id: string;
  identity: Identity;
  serverKey: string;
  session?: string;
  /** Of a host's computer. */
  bootId?: string;
}

/** The part of a test's host and hub that connects by the real channel. */
export function connectPeer<In, Out>(
  role: PeerRole,
  options: PeerOptions,
  talk: {
    moments: Moments;
    receive: ConnectChannelOptions<In, Out>["receive"];
    hello(): Record<string, unknown>;
    onOpen(): void;
    onMessage(message: In): void;
    onRefused(code: string, message: string): void;
  },
): ChannelClient<Out> {
  return connectChannel<In, Out>({
    url: `${options.url.replace("http", "ws")}/channel/${role}`,
    role,
    id: options.id,
    session: options.session ?? randomUUID(),
    privateKey: options.identity.privateKey,
    serverKey: options.serverKey,
    hello: () => talk.hello(),
    receive: talk.receive,
    onOpen() {
      talk.onOpen();
      talk.moments.pass();
    },
    onMessage(message) {
      talk.onMessage(message);
      talk.moments.pass();
    },
    onClose: () => talk.moments.pass(),
    onRefused(code, message) {
      talk.onRefused(code, message);
      talk.moments.pass();
      return "stop";
    },
    openSocket: openWebSocket,
    backOff: new BackOff({ firstMs: 10, maxMs: 100, random: systemRandom }),
    crypto: { sign: signWith, verify: verifyWith, sameKey },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
}
