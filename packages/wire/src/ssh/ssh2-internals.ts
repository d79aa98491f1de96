import type { Socket } from "node:net";
import { AppError } from "@hardshare/protocol";

/**
 * What our channels use of ssh2 beyond its documented interface: the table of message handlers and the writers of
 * channel messages of a connection. The library's version is pinned; `internalsOf` refuses one where any of it is
 * missing, and `channel-table.test.ts` pins the behaviour.
 */
export interface Ssh2Internals {
  on(event: "handshake", listener: () => void): unknown;
  readonly _sock: Socket;
  readonly _protocol: Ssh2Protocol;
}

interface Ssh2Protocol {
  /** Looked up at every message. */
  readonly _handlers: Partial<ChannelHandlers>;
  /** Set while keys are being exchanged: what is sent then is queued without limit. */
  readonly _kexinit: unknown;
  /** What waits for the end of that. */
  readonly _queue: readonly unknown[] | undefined;
  ping(): void;
  rekey(): void;
  channelOpenConfirm(remoteId: number, localId: number, window: number, packetSize: number): void;
  channelOpenFail(remoteId: number, reason: number, description: string): void;
  channelData(remoteId: number, data: Buffer): void;
  channelWindowAdjust(remoteId: number, amount: number): void;
  channelEOF(remoteId: number): void;
  channelClose(remoteId: number): void;
  channelFailure(remoteId: number): void;
  directTcpip(
    localId: number,
    window: number,
    packetSize: number,
    target: { dstIP: string; dstPort: number; srcIP: string; srcPort: number },
  ): void;
  forwardedTcpip(
    localId: number,
    window: number,
    packetSize: number,
    target: { boundAddr: string; boundPort: number; remoteAddr: string; remotePort: number },
  ): void;
}

/** Numbers and strings as ssh2 has parsed them; a malformed message never gets here. */
export interface ChannelHandlers {
  CHANNEL_OPEN(protocol: unknown, info: { type: string; sender: number; window: number; packetSize: number; data: unknown }): void;
  CHANNEL_OPEN_CONFIRMATION(protocol: unknown, info: { recipient: number; sender: number; window: number; packetSize: number }): void;
  CHANNEL_OPEN_FAILURE(protocol: unknown, recipient: number, reason: number, description: string): void;
  CHANNEL_WINDOW_ADJUST(protocol: unknown, recipient: number, amount: number): void;
  CHANNEL_DATA(protocol: unknown, recipient: number, data: Buffer): void;
  CHANNEL_EXTENDED_DATA(protocol: unknown, recipient: number, data: Buffer, type: number): void;
  CHANNEL_EOF(protocol: unknown, recipient: number): void;
  CHANNEL_CLOSE(protocol: unknown, recipient: number): void;
  CHANNEL_REQUEST(protocol: unknown, recipient: number, type: string, wantsReply: boolean, data: unknown): void;
  CHANNEL_SUCCESS(protocol: unknown, recipient: number): void;
  CHANNEL_FAILURE(protocol: unknown, recipient: number): void;
}

const WRITERS = [
  "ping",
  "rekey",
  "channelOpenConfirm",
  "channelOpenFail",
  "channelData",
  "channelWindowAdjust",
  "channelEOF",
  "channelClose",
  "channelFailure",
  "directTcpip",
  "forwardedTcpip",
] as const satisfies readonly (keyof Ssh2Protocol)[];

const HANDLERS = [
  "CHANNEL_OPEN",
  "CHANNEL_OPEN_CONFIRMATION",
  "CHANNEL_OPEN_FAILURE",
  "CHANNEL_WINDOW_ADJUST",
  "CHANNEL_DATA",
  "CHANNEL_EXTENDED_DATA",
  "CHANNEL_EOF",
  "CHANNEL_CLOSE",
  "CHANNEL_REQUEST",
  "CHANNEL_SUCCESS",
  "CHANNEL_FAILURE",
] as const satisfies readonly (keyof ChannelHandlers)[];

/** The private parts of a connection of ssh2, client or server end. @throws AppError `internal` when the library has changed */
export function internalsOf(connection: object): Ssh2Internals {
  const candidate = connection as Partial<Ssh2Internals>;
  const protocol = candidate._protocol;
  const isKnown =
    candidate._sock !== undefined &&
    protocol !== undefined &&
    "_kexinit" in protocol &&
    "_queue" in protocol &&
    WRITERS.every((name) => typeof protocol[name] === "function") &&
    HANDLERS.every((name) => typeof protocol._handlers[name] === "function");
  if (!isKnown) throw new AppError("internal", "this version of ssh2 has other insides than 1.17.0: install the pinned one");
  return candidate as Ssh2Internals;
}
