import { connect, type Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";
import { cut } from "@hardshare/runtime/sockets";
import type { DeviceAddress } from "../run/device-address.ts";
import { BROKER_KEEP_ALIVE_SECONDS } from "./connect-exchange.ts";
import { Malformed } from "./malformed.ts";
import { PacketFramer } from "./packet-framer.ts";
import type { ConnackPacket, ConnectPacket, Packet } from "./packets.ts";
import { readPacket } from "./read-packet.ts";
import { writePacket } from "./write-packet.ts";

/** How long the broker may take to be reached and to answer CONNECT. */
const ANSWERS_WITHIN_MS = 10_000;

export interface BrokerLinkOptions {
  readonly broker: DeviceAddress;
  readonly connect: ConnectPacket;
  readonly limitBytes: () => number;
  readonly clock: Clock;
  /** The broker let the filter in. */
  readonly onOpen: (connack: ConnackPacket) => void;
  /** What it sends afterwards. @throws Malformed */
  readonly onPacket: (packet: Packet) => void;
  readonly onDrain: () => void;
  /** It is away, refused the filter, broke the protocol, or left: once, unless `end` or `cut` came first. */
  readonly onLost: (because: string, reasonCode?: number) => void;
  /** Nothing waits for the broker any more. */
  readonly onClosed: () => void;
}

/** The filter's own connection to the broker, for one client. */
export class BrokerLink {
  readonly #options: BrokerLinkOptions;
  readonly #socket: Socket;
  readonly #framer: PacketFramer;
  #timer: Disposable;
  #state: "opening" | "open" | "over" = "opening";
  #hasPinged = false;

  constructor(options: BrokerLinkOptions) {
    this.#options = options;
    const { broker, connect: packet, clock, limitBytes } = options;
    this.#framer = new PacketFramer(limitBytes);
    this.#timer = clock.after(ANSWERS_WITHIN_MS, () => this.#lose("the broker does not answer"));
    const socket = connect({ ...broker, noDelay: true });
    this.#socket = socket;
    socket.once("connect", () => socket.write(writePacket(packet, packet.version)));
    socket.on("data", (bytes: Buffer) => {
      this.#framer.push(bytes);
      this.#read();
    });
    socket.on("drain", () => options.onDrain());
    let because = "the broker closed the connection";
    socket.on("error", (error: NodeJS.ErrnoException) => (because = `the broker is away: ${error.code ?? error.message}`));
    socket.once("close", () => {
      this.#lose(because);
      options.onClosed();
    });
  }

  get isClosed(): boolean {
    return this.#socket.closed;
  }

  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  send(packet: Packet): void {
    if (this.#state === "open") this.#socket.write(writePacket(packet, this.#options.connect.version));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Leaves, after what was sent. */
  end(): void {
    if (this.#state === "over") return;
    this.send({ cmd: "disconnect", reasonCode: 0, properties: {} });
    const wasOpen = this.#state === "open";
    this.#finish();
    if (!wasOpen) return void this.#socket.destroy();
    this.#socket.end();
    // Nobody waits for it any more: a broker that does not close is cut.
    const timer = this.#options.clock.after(ANSWERS_WITHIN_MS, () => this.#socket.destroy());
    this.#socket.once("close", () => timer[Symbol.dispose]()).resume();
  }

  /** With a reset: what was not yet taken is dropped. */
  cut(): void {
    this.#finish();
    cut(this.#socket);
  }

  #read(): void {
    const { connect: packet, onPacket } = this.#options;
    try {
      for (let frame = this.#framer.next(); frame !== undefined && this.#state !== "over"; frame = this.#framer.next()) {
        const read = readPacket(frame, packet.version);
        if (this.#state === "opening") this.#open(read);
        else if (read.cmd === "disconnect") this.#lose("the broker ended the connection", read.reasonCode);
        else {
          if (read.cmd === "pingresp") this.#hasPinged = false;
          onPacket(read);
        }
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#lose(`the broker broke the protocol: ${error.message}`);
    }
  }

  #open(packet: Packet): void {
    if (packet.cmd !== "connack") throw new Malformed(`it began with ${packet.cmd.toUpperCase()}`);
    const { code, sessionPresent, properties } = packet;
    if (code !== 0) return this.#lose(`the broker refused the filter with the code ${code}`);
    if (sessionPresent) throw new Malformed("it kept a session that is new");
    this.#state = "open";
    this.#timer[Symbol.dispose]();
    this.#ping((properties.serverKeepAlive || BROKER_KEEP_ALIVE_SECONDS) * 500);
    this.#options.onOpen(packet);
  }

  /** Twice in the time in which the broker wants to hear something. One that does not answer is lost. */
  #ping(everyMs: number): void {
    this.#timer = this.#options.clock.after(everyMs, () => {
      if (this.#hasPinged && !this.#socket.isPaused()) return this.#lose("the broker does not answer");
      this.#hasPinged = true;
      this.send({ cmd: "pingreq" });
      this.#ping(everyMs);
    });
  }

  #lose(because: string, reasonCode?: number): void {
    if (this.#state === "over") return;
    this.#finish();
    this.#socket.destroy();
    this.#options.onLost(because, reasonCode);
  }

  #finish(): void {
    this.#state = "over";
    this.#timer[Symbol.dispose]();
  }
}
