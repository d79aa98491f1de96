import type { Socket } from "node:net";
import type { Clock, Logger } from "@hardshare/runtime";
import { cut, onOrderlyEnd } from "@hardshare/runtime/sockets";
import type { DeviceAddress } from "../run/device-address.ts";
import type { LiveRules } from "../rules/live-rules.ts";
import type { CompiledMqttRules } from "../rules/mqtt-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { BrokerLink } from "./broker-link.ts";
import { acceptClient, type BrokerCredentials, connectToBroker, refuseClient } from "./connect-exchange.ts";
import { judgeConnect } from "./judge-connect.ts";
import { Malformed, Reason } from "./malformed.ts";
import { MqttSession } from "./mqtt-session.ts";
import { type Frame, PacketFramer } from "./packet-framer.ts";
import type { ConnackPacket, ConnectPacket, Packet, PublishPacket, Version } from "./packets.ts";
import { readPacket, UnsupportedVersion } from "./read-packet.ts";
import { writePacket } from "./write-packet.ts";

export interface MqttConnectionOptions {
  readonly socket: Socket;
  readonly broker: DeviceAddress;
  readonly credentials: BrokerCredentials;
  readonly rules: LiveRules<CompiledMqttRules>;
  readonly onDecision: (judgement: Judgement) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A client id that no other connection to the broker has. */
  readonly makeClientId: () => string;
  /** The client named itself: an earlier connection of the same name is taken over. */
  readonly onNamed: (clientId: string) => void;
  /** Nothing is left of it, at neither end. */
  readonly onOver: () => void;
}

/** How long a client may take to send CONNECT. */
const CONNECTS_WITHIN_MS = 10_000;
/** When so much waits to be taken by one side, nothing more is read from the other. */
const FULL_BYTES = 256 * 1024;
/** Answers of the filter to one side may wait too; then nothing more is read from that side. */
const OVERFULL_BYTES = 4 * FULL_BYTES;
/** How long a will may take to be acknowledged by the broker. */
const WILL_WITHIN_MS = 5000;
/** How long a client may take to read why it is cut. */
const LINGER_MS = 2000;

/**
 * One client and the connection to the broker that is made for it: moves bytes, keeps time, and holds up whoever sends
 * faster than the other end takes.
 */
export class MqttConnection {
  readonly #options: MqttConnectionOptions;
  readonly #framer: PacketFramer;
  #version: Version = 4;
  #connect: ConnectPacket | undefined;
  #link: BrokerLink | undefined;
  #session: MqttSession | undefined;
  #timer: Disposable;
  #heardMs: number;
  #hasClientEnded = false;
  /** The client is gone, or nothing more is taken from it. */
  #isClientGone = false;
  /** A will that waits to be acknowledged. */
  #will: PublishPacket | undefined;
  #isOver = false;

  constructor(options: MqttConnectionOptions) {
    this.#options = options;
    const { socket, clock, rules } = options;
    this.#framer = new PacketFramer(() => rules.current.packetLimitBytes);
    this.#heardMs = clock.monotonicMs();
    this.#timer = clock.after(CONNECTS_WITHIN_MS, () => this.#loseClient());
    socket.on("data", (bytes: Buffer) => {
      if (this.#isClientGone) return;
      this.#heardMs = clock.monotonicMs();
      this.#framer.push(bytes);
      this.#pump();
    });
    socket.on("drain", () => this.#regulate());
    onOrderlyEnd(socket, () => {
      this.#hasClientEnded = true;
      this.#pump();
    });
    socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      // So the host cuts connections, when nothing more may pass: no will either. Of other errors `close` tells.
      if (code === "ECONNRESET" && !this.#isClientGone) this.cut();
    });
    socket.once("close", () => {
      this.#loseClient();
      this.#settle();
    });
  }

  /** Another connection has the same client id. */
  takeOver(): void {
    this.#dismiss(Reason.TAKEN_OVER, "another connection has the same client id");
  }

  /** At once, at both ends; a will is not sent. */
  cut(): void {
    this.#isClientGone = true;
    cut(this.#options.socket);
    this.#link?.cut();
    this.#finish();
  }

  /** Judges what has come, for as long as both ends take what is written. */
  #pump(): void {
    try {
      while (this.#canRead) {
        const frame = this.#framer.next();
        if (frame === undefined) {
          if (this.#hasClientEnded) this.#loseClient();
          break;
        }
        this.#take(frame);
      }
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      this.#refuse(error);
    }
    this.#regulate();
  }

  get #canRead(): boolean {
    if (this.#isClientGone) return false;
    if (this.#connect !== undefined && this.#session === undefined) return false; // until the broker let it in
    return (this.#link?.waitingBytes ?? 0) < FULL_BYTES && this.#options.socket.writableLength < OVERFULL_BYTES;
  }

  #regulate(): void {
    const { socket } = this.#options;
    if (this.#canRead && socket.isPaused()) {
      socket.resume();
      this.#heardMs = this.#options.clock.monotonicMs(); // it was not its fault
      setImmediate(() => this.#pump());
    } else if (!this.#canRead && !this.#isClientGone) socket.pause();
    const link = this.#link;
    if (link === undefined) return;
    if (socket.writableLength < FULL_BYTES && link.waitingBytes < OVERFULL_BYTES) link.resume();
    else link.pause();
  }

  #take(frame: Frame): void {
    if (this.#session !== undefined) return this.#session.fromClient(readPacket(frame, this.#version));
    if (frame.cmd !== "connect") throw new Malformed("the client did not begin with CONNECT", Reason.PROTOCOL_ERROR);
    const packet = readPacket(frame, this.#version);
    if (packet.cmd === "connect") this.#open(packet);
  }

  #open(connect: ConnectPacket): void {
    this.#version = connect.version;
    this.#connect = connect;
    this.#timer[Symbol.dispose]();
    const { broker, credentials, rules, clock, makeClientId, onNamed, onDecision } = this.#options;
    const { judgement, refusal } = judgeConnect(rules.current, connect);
    onDecision(judgement);
    if (refusal !== undefined) return this.#turnAway(refusal.reasonCode, refusal.because);
    if (connect.clientId !== "") onNamed(connect.clientId);
    const limits = { limitBytes: rules.current.packetLimitBytes };
    const clientId = makeClientId();
    this.#link = new BrokerLink({
      broker,
      connect: connectToBroker(connect, { clientId, credentials, ...limits }),
      limitBytes: () => rules.current.packetLimitBytes,
      clock,
      onOpen: (connack) => this.#begin(connect, acceptClient(connect, connack, { assignedId: clientId, ...limits })),
      onPacket: (packet) => this.#takeFromBroker(packet),
      onDrain: () => this.#regulate(),
      onLost: (because, reasonCode) => this.#loseBroker(because, reasonCode),
      onClosed: () => this.#settle(),
    });
  }

  #begin(connect: ConnectPacket, connack: ConnackPacket): void {
    const { rules, onDecision } = this.#options;
    this.#session = new MqttSession({
      connect,
      rules,
      onDecision,
      toClient: (packet) => this.#send(packet),
      toBroker: (packet) => this.#link?.send(packet),
      onLeft: (how) => this.#leave(how),
    });
    this.#send(connack);
    if (connect.keepAliveSeconds > 0) this.#watchClient(connect.keepAliveSeconds * 1500);
    this.#pump();
  }

  /** A client that is silent for one and a half times as long as it said is gone (§3.1.2.10). */
  #watchClient(withinMs: number, leftMs = withinMs): void {
    const { clock, socket } = this.#options;
    this.#timer = clock.after(leftMs, () => {
      const silentMs = socket.isPaused() ? 0 : clock.monotonicMs() - this.#heardMs;
      if (silentMs >= withinMs) this.#dismiss(Reason.KEEP_ALIVE_TIMEOUT, "the client was silent for longer than it said");
      else this.#watchClient(withinMs, withinMs - silentMs);
    });
  }

  #takeFromBroker(packet: Packet): void {
    if (this.#will !== undefined) return this.#followWill(this.#will, packet);
    if (this.#isClientGone) return;
    this.#session?.fromBroker(packet);
    this.#regulate();
  }

  #send(packet: Packet): void {
    const { socket } = this.#options;
    if (socket.writable && !this.#isClientGone) socket.write(writePacket(packet, this.#version));
  }

  /** What breaks the protocol is told as refused, whatever the rules say. */
  #refuse(error: Malformed): void {
    const { onDecision } = this.#options;
    const { message: because, reasonCode } = error;
    const summary = "a packet that is not right";
    onDecision({ direction: "in", rule: "strict", decision: "block", mode: "enforce", summary, because, isSign: false });
    if (this.#connect !== undefined) return this.#dismiss(reasonCode, because);
    if (error instanceof UnsupportedVersion) return this.#turnAway(Reason.PROTOCOL_ERROR, because);
    this.#loseClient();
  }

  /** Answers CONNECT with a refusal. */
  #turnAway(reasonCode: number, because: string): void {
    this.#send(refuseClient(this.#version, reasonCode, because));
    this.#leave("without will");
  }

  /** Cuts a client that was let in, with a word on why as far as its version has one. */
  #dismiss(reasonCode: number, because: string): void {
    if (this.#isClientGone) return;
    if (this.#session === undefined) return this.#loseClient();
    if (this.#version === 5) this.#send({ cmd: "disconnect", reasonCode, properties: { reasonString: because } });
    this.#leave("with will");
  }

  #loseClient(): void {
    this.#leave("with will");
  }

  #loseBroker(because: string, reasonCode?: number): void {
    const { logger } = this.#options;
    if (this.#isClientGone) return this.#finish(); // a will that it did not take
    logger.warn("the connection to the broker is lost", { because });
    if (this.#session === undefined) return this.#turnAway(Reason.SERVER_UNAVAILABLE, because);
    if (this.#version === 5) {
      const properties = { reasonString: because };
      this.#send({ cmd: "disconnect", reasonCode: reasonCode || Reason.SERVER_SHUTTING_DOWN, properties });
    }
    this.#leave("without will");
  }

  /** Takes nothing more from the client. The broker hears of its will, when it left without a word. */
  #leave(how: "with will" | "without will"): void {
    if (this.#isClientGone) return;
    this.#isClientGone = true;
    const { socket, clock } = this.#options;
    this.#timer[Symbol.dispose]();
    if (!socket.destroyed) {
      socket.end();
      socket.resume(); // what it still sends is not read, but must not keep it from hearing why
      const linger = clock.after(LINGER_MS, () => socket.destroy());
      socket.once("close", () => linger[Symbol.dispose]());
    }
    const will = how === "with will" ? this.#session?.takeWill() : undefined;
    if (will !== undefined && this.#link !== undefined) {
      this.#link.resume();
      this.#link.send(will);
      if (will.qos > 0) {
        this.#will = will;
        this.#timer = clock.after(WILL_WITHIN_MS, () => this.#finish());
        return;
      }
    }
    this.#finish();
  }

  /** Until the broker took it for good. */
  #followWill({ id }: PublishPacket, packet: Packet): void {
    if (!("id" in packet) || packet.id !== id) return;
    if (packet.cmd === "pubrec" && packet.reasonCode < Reason.UNSPECIFIED) {
      this.#link?.send({ cmd: "pubrel", id, reasonCode: 0, properties: {} });
    } else if (packet.cmd === "puback" || packet.cmd === "pubcomp" || packet.cmd === "pubrec") this.#finish();
  }

  #settle(): void {
    if (this.#isOver && this.#options.socket.closed && this.#link?.isClosed !== false) this.#options.onOver();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer[Symbol.dispose]();
    this.#link?.end();
    this.#settle();
  }
}
