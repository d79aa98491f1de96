import type { Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { ChannelClock } from "../channel/needs.ts";
import { BoundedChannel } from "./bounded-channel.ts";
import {
  KEY_EXCHANGE_TIMEOUT_MS,
  MAX_CHANNELS,
  MAX_KEY_EXCHANGE_QUEUE,
  MAX_SEND_QUEUE_BYTES,
  MIN_PACKET_BYTES,
  PACKET_BYTES,
  REKEY_PACKETS,
  SEND_QUEUE_BYTES,
  WINDOW_BYTES,
} from "./limits.ts";
import { type ChannelHandlers, internalsOf, type Ssh2Internals } from "./ssh2-internals.ts";

/** Where a channel leads (`host`, `port`: to be connected, or that was listened on) and where its bytes come from. */
export interface ChannelTarget {
  host: string;
  port: number;
  originAddress: string;
  originPort: number;
}

/** A channel that the peer asks for. Exactly one of `accept` and `reject` is to be called, once, now or later. */
export interface ChannelRequest extends ChannelTarget {
  /** @throws AppError `connection_lost` when the connection has ended meanwhile */
  accept(): BoundedChannel;
  /** @param reason why, for the user to read */
  reject(code: RejectCode, reason: string): void;
}

/** RFC 4254, section 5.1. */
const REJECT_CODES = { prohibited: 1, connect_failed: 2, unknown_type: 3, shortage: 4 } as const;
type RejectCode = keyof typeof REJECT_CODES;

/** The two kinds of channels there are: a client asks for `direct-tcpip`, a server for `forwarded-tcpip`. */
type ChannelType = "direct-tcpip" | "forwarded-tcpip";

export interface ChannelTableOptions {
  /** The type of channels that the peer may ask for; we ask for the other. */
  accepts: ChannelType;
  onRequest(request: ChannelRequest): void;
  clock: ChannelClock;
}

interface Entry {
  /** Whether we asked for it; else the peer did. */
  readonly isOurs: boolean;
  /** When it was asked for, by the monotonic clock. */
  readonly sinceMs: number;
  /** Who waits for the peer's answer, if still wanted. */
  settle?: (result: BoundedChannel | AppError) => void;
  /** The peer's number of the channel, once it is open. */
  remoteId?: number;
  channel?: BoundedChannel;
}

const MAX_ID = 0xffff_ffff;

/**
 * All channels of one connection of ssh2, in place of the library's own. ssh2 does key exchange, encryption and login;
 * its channels are replaced because they announce 2 MB, take what overruns it, and put what they send into the
 * socket's queue without looking at its length. Here the window is `WINDOW_BYTES` and enforced, a peer that overruns
 * it is cut off, and channels take turns for a send queue that is kept short. While keys are exchanged anew ssh2 queues
 * what is sent without limit, so no data is sent then, and a peer that asks for much else, or takes too long, is cut off.
 */
export class ChannelTable {
  readonly #internals: Ssh2Internals;
  readonly #socket: Socket;
  readonly #options: ChannelTableOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #waiting = new Set<BoundedChannel>();
  #nextId = 0;
  #isSending = false;
  #isGathering = false;
  #carriedBytes = 0;
  #packets = 0;
  #keyExchange: Disposable | undefined;

  /** @param connection a connection of ssh2 that has just logged in */
  constructor(connection: object, options: ChannelTableOptions) {
    this.#internals = internalsOf(connection);
    this.#socket = this.#internals._sock;
    this.#options = options;
    Object.assign(this.#internals._protocol._handlers, this.#handlers());
    this.#socket.on("drain", () => this.#sendWaiting());
    this.#internals.on("handshake", () => {
      this.#endKeyExchange();
      this.#sendWaiting();
    });
    this.#socket.prependListener("data", () => this.#limitReplies());
    this.#socket.once("end", () => this.#socket.destroy()); // ssh2 can't write any more
    this.#socket.once("close", () => this.#close());
  }

  /** Channels open or being opened. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether nothing more can be opened until a channel closes. */
  get isFull(): boolean {
    return this.#entries.size >= MAX_CHANNELS;
  }

  /** Whether the connection has ended: nothing can be opened any more. */
  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /** Bytes sent and received so far. */
  get carriedBytes(): number {
    return this.#carriedBytes;
  }

  /** Whether the connection or one of its channels stands still because somebody has stopped reading. */
  get isStalled(): boolean {
    if (this.#socket.writableLength >= SEND_QUEUE_BYTES) return true;
    for (const entry of this.#entries.values()) if (entry.channel?.isStalled) return true;
    return false;
  }

  /** For how long the peer has owed the answer to a request of ours, wanted or not; 0 when it owes none. */
  get silentMs(): number {
    for (const { isOurs, remoteId, sinceMs } of this.#entries.values()) {
      if (isOurs && remoteId === undefined) return this.#options.clock.monotonicMs() - sinceMs; // the oldest comes first
    }
    return 0;
  }

  /**
   * Asks the peer for a channel.
   * @throws AppError `connection_lost` when refused or the connection ends, `cancelled` when `signal` is aborted
   */
  open(target: ChannelTarget, signal: AbortSignal): Promise<BoundedChannel> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(new AppError("cancelled", "the stream is no longer wanted"));
      if (this.isClosed) return reject(lost());
      const entry: Entry = { isOurs: true, sinceMs: this.#options.clock.monotonicMs() };
      const id = this.#reserve(entry);
      if (id === undefined) return reject(new AppError("busy", `all ${MAX_CHANNELS} streams of this connection are in use`));
      const abort = () => entry.settle?.(new AppError("cancelled", "the stream is no longer wanted"));
      entry.settle = (result) => {
        signal.removeEventListener("abort", abort);
        delete entry.settle; // an answer that comes after an abort finds nobody and is closed
        if (result instanceof AppError) reject(result);
        else resolve(result);
      };
      signal.addEventListener("abort", abort, { once: true });
      const { host, port, originAddress, originPort } = target;
      const protocol = this.#internals._protocol;
      this.#gather();
      if (this.#options.accepts === "forwarded-tcpip") {
        protocol.directTcpip(id, WINDOW_BYTES, PACKET_BYTES, { dstIP: host, dstPort: port, srcIP: originAddress, srcPort: originPort });
      } else {
        const forwarded = { boundAddr: host, boundPort: port, remoteAddr: originAddress, remotePort: originPort };
        protocol.forwardedTcpip(id, WINDOW_BYTES, PACKET_BYTES, forwarded);
      }
    });
  }

  /** Exchanges keys anew; streams wait meanwhile. (ssh2 never does so by itself; OpenSSH does.) */
  renewKeys(): void {
    this.#packets = 0;
    this.#internals._protocol.rekey();
    this.#beginKeyExchange();
  }

  #beginKeyExchange(): void {
    this.#keyExchange ??= this.#options.clock.after(KEY_EXCHANGE_TIMEOUT_MS, () => this.#drop("did not exchange keys in time"));
  }

  #endKeyExchange(): void {
    this.#keyExchange?.[Symbol.dispose]();
    this.#keyExchange = undefined;
  }

  /** Called before each piece of input is read. */
  #limitReplies(): void {
    const { _kexinit, _queue } = this.#internals._protocol;
    if (_kexinit !== undefined) this.#beginKeyExchange(); // the peer may have begun it
    const isTooMuch = this.#socket.writableLength > MAX_SEND_QUEUE_BYTES || (_queue?.length ?? 0) > MAX_KEY_EXCHANGE_QUEUE;
    if (isTooMuch) this.#drop("asks for replies and does not read them");
  }

  #count(data: Buffer): void {
    this.#carriedBytes += data.length;
    this.#packets += 1;
    if (this.#packets >= REKEY_PACKETS) this.renewKeys();
  }

  #handlers(): ChannelHandlers {
    return {
      CHANNEL_OPEN: (_protocol, info) => this.#onOpen(info),
      CHANNEL_OPEN_CONFIRMATION: (_protocol, { recipient, sender, window, packetSize }) => {
        const entry = this.#entries.get(recipient);
        if (!entry?.isOurs || entry.remoteId !== undefined) return this.#drop("confirmed a channel that was not asked for");
        if (packetSize < MIN_PACKET_BYTES) return this.#drop("asks for packets that are too small");
        const channel = this.#start(entry, { sender, window, packetSize });
        if (entry.settle === undefined) channel.destroy();
        else entry.settle(channel);
      },
      CHANNEL_OPEN_FAILURE: (_protocol, recipient, _reason, description) => {
        const entry = this.#entries.get(recipient);
        if (!entry?.isOurs || entry.remoteId !== undefined) return this.#drop("refused a channel that was not asked for");
        this.#entries.delete(recipient);
        entry.settle?.(new AppError("connection_lost", `the other side refused the stream${description ? `: ${description}` : ""}`));
      },
      CHANNEL_WINDOW_ADJUST: (_protocol, recipient, amount) => {
        if (this.#entries.get(recipient)?.channel?.receiveWindow(amount) === false) this.#drop("opened a window beyond its limit");
      },
      CHANNEL_DATA: (_protocol, recipient, data) => {
        this.#count(data);
        if (this.#entries.get(recipient)?.channel?.receiveData(data) === false) this.#drop("sent more than its window");
      },
      CHANNEL_EXTENDED_DATA: () => this.#drop("sent extended data on a forwarded stream"),
      CHANNEL_EOF: (_protocol, recipient) => this.#entries.get(recipient)?.channel?.receiveEof(),
      CHANNEL_CLOSE: (_protocol, recipient) => {
        const channel = this.#entries.get(recipient)?.channel;
        if (channel === undefined) return;
        // Both sides have closed once our close is sent: at the latest when the channel is destroyed.
        if (channel.destroyed) this.#entries.delete(recipient);
        else channel.once("close", () => this.#entries.delete(recipient));
        channel.receiveClose();
      },
      CHANNEL_REQUEST: (_protocol, recipient, _type, wantsReply) => {
        const remoteId = this.#entries.get(recipient)?.remoteId;
        if (wantsReply && remoteId !== undefined) this.#internals._protocol.channelFailure(remoteId);
      },
      CHANNEL_SUCCESS: () => {},
      CHANNEL_FAILURE: () => {},
    };
  }

  #onOpen(info: Parameters<ChannelHandlers["CHANNEL_OPEN"]>[1]): void {
    const refuse = (code: RejectCode, reason: string) =>
      this.#socket.destroyed || this.#internals._protocol.channelOpenFail(info.sender, REJECT_CODES[code], reason);
    if (info.type !== this.#options.accepts) {
      return void refuse("prohibited", "this connection carries forwarded streams and nothing else (no shell, no command, no files)");
    }
    if (info.packetSize < MIN_PACKET_BYTES) return void refuse("shortage", `packets of at least ${MIN_PACKET_BYTES} bytes are needed`);
    const entry: Entry = { isOurs: false, sinceMs: this.#options.clock.monotonicMs() };
    const id = this.#reserve(entry);
    if (id === undefined) return void refuse("shortage", `all ${MAX_CHANNELS} streams of this connection are in use`);
    const data = info.data as { destIP: string; destPort: number; srcIP: string; srcPort: number };
    let isAnswered = false;
    this.#options.onRequest({
      host: data.destIP,
      port: data.destPort,
      originAddress: data.srcIP,
      originPort: data.srcPort,
      accept: () => {
        if (isAnswered || this.#socket.destroyed) throw lost();
        isAnswered = true;
        this.#gather();
        this.#internals._protocol.channelOpenConfirm(info.sender, id, WINDOW_BYTES, PACKET_BYTES);
        return this.#start(entry, info);
      },
      reject: (code, reason) => {
        if (isAnswered) return;
        isAnswered = true;
        this.#entries.delete(id);
        refuse(code, reason);
      },
    });
  }

  #start(entry: Entry, peer: { sender: number; window: number; packetSize: number }): BoundedChannel {
    const protocol = this.#internals._protocol;
    const { sender: remoteId } = peer;
    const ifAlive = (act: () => void) => {
      if (this.#socket.destroyed) return;
      this.#gather();
      act();
    };
    const channel = new BoundedChannel(
      {
        sendData: (data) => {
          this.#count(data);
          protocol.channelData(remoteId, data);
        },
        openWindow: (bytes) => ifAlive(() => protocol.channelWindowAdjust(remoteId, bytes)),
        sendEof: () => ifAlive(() => protocol.channelEOF(remoteId)),
        sendClose: () => ifAlive(() => protocol.channelClose(remoteId)),
        schedule: (waiting) => {
          this.#waiting.add(waiting);
          this.#sendWaiting();
        },
      },
      peer,
    );
    channel.once("close", () => this.#waiting.delete(channel));
    entry.remoteId = remoteId;
    entry.channel = channel;
    return channel;
  }

  /** Lets the waiting channels send, one packet each in turn, as long as the connection's send queue is short. */
  #sendWaiting(): void {
    if (this.#isSending) return; // a channel's `done` may write again
    this.#isSending = true;
    try {
      while (this.#waiting.size > 0 && this.#canSend()) this.#sendRound();
    } finally {
      this.#isSending = false;
    }
  }

  /**
   * Keeps what is sent from now on until data is sent or the event loop's turn ends, so that what opens, closes and
   * steers all the channels in one turn goes with one system call.
   */
  #gather(): void {
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#socket.cork();
    setImmediate(() => this.#release());
  }

  #release(): void {
    if (!this.#isGathering) return;
    this.#isGathering = false;
    this.#socket.uncork();
  }

  #sendRound(): void {
    this.#socket.cork(); // one system call for all
    try {
      for (const channel of this.#waiting) {
        if (!this.#canSend()) break;
        this.#waiting.delete(channel);
        if (channel.sendPacket()) this.#waiting.add(channel); // again, after the others
      }
    } finally {
      this.#socket.uncork();
      this.#release();
    }
  }

  #canSend(): boolean {
    return !this.#socket.destroyed && this.#socket.writableLength < SEND_QUEUE_BYTES && this.#internals._protocol._kexinit === undefined;
  }

  #reserve(entry: Entry): number | undefined {
    if (this.isFull) return undefined;
    while (this.#entries.has(this.#nextId)) this.#nextId = this.#nextId === MAX_ID ? 0 : this.#nextId + 1;
    const id = this.#nextId;
    this.#nextId = id === MAX_ID ? 0 : id + 1;
    this.#entries.set(id, entry);
    return id;
  }

  #drop(what: string): void {
    this.#socket.destroy(new AppError("protocol_violation", `the other side ${what}: connection closed`));
  }

  #close(): void {
    this.#endKeyExchange();
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const { settle, channel } of entries) {
      settle?.(lost());
      channel?.destroy(lost());
    }
  }
}

function lost(): AppError {
  return new AppError("connection_lost", "the SSH connection has ended");
}
