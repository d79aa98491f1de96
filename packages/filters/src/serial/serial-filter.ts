import { createServer, type Socket } from "node:net";
import { isDeepStrictEqual } from "node:util";
import type { CompiledSerialRules } from "../rules/serial-rules.ts";
import type { FilterTools, RunningFilter } from "../run/filter-kind.ts";
import { listen, type Listening } from "../run/listen.ts";
import { AnswerWait } from "./answer-wait.ts";
import { type SerialFraming, SerialFramer } from "./framer.ts";
import { MessageJudge } from "./message-judge.ts";
import { SerialClient } from "./serial-client.ts";
import { SerialDevice } from "./serial-device.ts";

/** Clients at the same time; more are dropped as they come. */
const MAX_CLIENTS = 64;
/** How long a client that does not read may hold up what others read. */
const HOLDS_UP_MS = 5000;

export interface SerialFilterOptions extends FilterTools<CompiledSerialRules> {
  /** Path of the device file. */
  readonly device: string;
  /** Bits per second. */
  readonly baud: number;
}

/**
 * Starts the `serial` filter: a TCP server before one serial device. Messages of all clients go to the device whole, one
 * after the other; what it sends goes to all. A message is judged when the device has taken the one before, so that none
 * waits, judged, to be written late. When the device is gone all connections are cut.
 * @throws AppError `device_missing`, `device_unusable`, `port_in_use`, `not_configured`
 */
export async function startSerialFilter(options: SerialFilterOptions): Promise<RunningFilter> {
  const filter = new SerialFilter(options);
  await filter.start();
  return filter;
}

class SerialFilter implements RunningFilter {
  readonly #options: SerialFilterOptions;
  readonly #clients = new Set<SerialClient>();
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true });
  readonly #outJudge: MessageJudge;
  #device: SerialDevice | undefined;
  #framing: SerialFraming;
  /** Framing of what the device says. */
  #ofOutput: SerialFraming;
  #outFramer: SerialFramer;
  readonly #answers = new AnswerWait();
  /** Whose message the device got last. */
  #lastWriter: SerialClient | undefined;
  #patience: Disposable | undefined;
  #listening: Listening | undefined;

  constructor(options: SerialFilterOptions) {
    this.#options = options;
    const { rules, onDecision } = options;
    this.#outJudge = new MessageJudge({ direction: "out", rules, onDecision });
    this.#framing = rules.current.messages;
    this.#ofOutput = outputFraming(this.#framing);
    this.#outFramer = new SerialFramer(this.#ofOutput);
  }

  get address(): string {
    return this.#listening?.address ?? "";
  }

  async start(): Promise<void> {
    const { device: path, baud, clock, logger } = this.#options;
    this.#device = await SerialDevice.open({
      path,
      baud,
      clock,
      logger,
      onData: (bytes) => this.#takeOutput(bytes),
      onDrain: () => this.#pumpAll(),
      onGone: () => this.#cutAll(),
    });
    this.#server.maxConnections = MAX_CLIENTS;
    this.#server.on("connection", (socket) => this.#accept(socket));
    try {
      this.#listening = await listen(this.#server, this.#options);
    } catch (error) {
      await this.#device[Symbol.asyncDispose]();
      throw error;
    }
  }

  async cutAll(): Promise<void> {
    this.#cutAll();
    await Promise.all([this.#device?.drop(), this.#listening?.renew()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#listening?.close();
    this.#cutAll();
    await this.#device?.[Symbol.asyncDispose]();
    await closed;
  }

  #accept(socket: Socket): void {
    if (this.#device?.isThere !== true) {
      socket.on("error", () => {});
      socket.resetAndDestroy();
      return;
    }
    const { rules, onDecision, clock } = this.#options;
    const client: SerialClient = new SerialClient({
      socket,
      clock,
      judge: new MessageJudge({ direction: "in", rules, onDecision }),
      framing: () => this.#currentFraming(),
      canWrite: () => this.#device?.canTake === true,
      isAnswerOwed: () => this.#answers.isOwed && rules.current.answer !== undefined,
      write: (bytes, isMessage) => {
        this.#lastWriter = client;
        if (isMessage) this.#answers.owe();
        this.#device?.write(bytes);
      },
      hasLostTurn: () => this.#lastWriter !== client,
      onRelieved: () => this.#readOn(),
    });
    this.#clients.add(client);
    socket.once("close", () => {
      this.#clients.delete(client); // a message that has begun is dropped with it
      this.#readOn();
    });
  }

  /** The same object for as long as the same is in force, whatever else the rules file says. */
  #currentFraming(): SerialFraming {
    const { messages } = this.#options.rules.current;
    if (messages !== this.#framing && !isDeepStrictEqual(messages, this.#framing)) this.#framing = messages;
    return this.#framing;
  }

  /** The same for what the device says. */
  #outputFraming(): SerialFraming {
    const framing = outputFraming(this.#currentFraming());
    if (!isDeepStrictEqual(framing, this.#ofOutput)) this.#ofOutput = framing;
    return this.#ofOutput;
  }

  /** After the device took all: those that waited, each in its turn. */
  #pumpAll(): void {
    const waiting = [...this.#clients];
    for (const client of waiting) {
      if (this.#device?.canTake !== true) return;
      client.pump();
      if (!this.#clients.delete(client)) continue;
      this.#clients.add(client); // to the end of the queue
    }
  }

  #takeOutput(bytes: Buffer): void {
    this.#sendToAll(this.#judgeOutput(bytes));
    const { answer } = this.#options.rules.current;
    if (answer !== undefined && this.#answers.hear(bytes, answer, this.#outputFraming())) this.#pumpAll();
  }

  /** Without rules for it, what the device sends passes as it comes, also half a line. */
  #judgeOutput(bytes: Buffer): Buffer {
    const { out } = this.#options.rules.current;
    if (out.default === "allow" && out.rules.length === 0) return bytes;
    const framing = this.#outputFraming();
    if (this.#outFramer.framing !== framing) this.#outFramer = new SerialFramer(framing);
    this.#outFramer.push(bytes);
    const passing: Buffer[] = [];
    for (let piece = this.#outFramer.next(); piece !== undefined; piece = this.#outFramer.next()) {
      const passage = this.#outJudge.judge(piece);
      if (passage.bytes !== undefined) passing.push(passage.bytes);
    }
    return Buffer.concat(passing);
  }

  #sendToAll(bytes: Buffer): void {
    if (bytes.length === 0) return;
    for (const client of this.#clients) client.send(bytes);
    if (![...this.#clients].some((client) => client.isBurdened)) return;
    this.#device?.pause();
    this.#patience ??= this.#options.clock.after(HOLDS_UP_MS, () => this.#cutWhoHoldsUp());
  }

  /** One alone may hold up the device for as long as it likes. */
  #cutWhoHoldsUp(): void {
    this.#patience = undefined;
    if (this.#clients.size < 2) return;
    for (const client of this.#clients) {
      if (!client.isBurdened) continue;
      this.#options.logger.warn("a client that does not read was cut, because it held up the others");
      client.cut();
    }
  }

  #readOn(): void {
    if ([...this.#clients].some((client) => client.isBurdened)) return;
    this.#patience?.[Symbol.dispose]();
    this.#patience = undefined;
    this.#device?.resume();
  }

  #cutAll(): void {
    this.#patience?.[Symbol.dispose]();
    this.#patience = undefined;
    this.#outFramer = new SerialFramer(this.#outFramer.framing);
    this.#answers.forget();
    for (const client of this.#clients) client.cut();
  }
}

/** Real-time bytes are a matter of what goes to the device. */
function outputFraming(framing: SerialFraming): SerialFraming {
  return { ...framing, realtime: [] };
}
