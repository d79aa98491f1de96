import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { Allowance } from "@hardshare/runtime";
import { askResolver, type ResolverOptions } from "./ask-resolver.ts";
import { MAX_MESSAGE_BYTES, MessageReader, writeMessage } from "./message-stream.ts";
import { ANSWER_CODE, answerWith, fitDatagram, judgeAnswer, readNameQuery } from "./name-query.ts";

/** What one instance may ask: an E-stop must not wait behind its questions. */
const BURST = 200;
const PER_SECOND = 50;
const MAX_AT_ONCE = 32;
const MAX_CONNECTIONS = 64;
/** Far above any question, and so short that reading it takes no time. */
const MAX_QUESTION_BYTES = 1024;
/** Answers that are not taken. */
const MAX_UNREAD_BYTES = 128 * 1024;
const IDLE_MS = 10_000;

export interface NameServiceOptions extends ResolverOptions {
  /** Sockets in a folder that only the relay's user can enter: of questions by TCP, and of those that came as datagrams. */
  streamSocket: string;
  datagramSocket: string;
  /** Whether addresses that are not public are left out of answers. */
  isJudged: boolean;
}

/**
 * The name service of one instance: carries its questions, which the relay hands on, to the resolvers of this computer,
 * and judges the answers. What is too much is dropped: who asks by datagram asks again.
 */
export class NameService implements AsyncDisposable {
  readonly #options: NameServiceOptions;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #allowance: Allowance;
  /** Questions under way. */
  #asked = 0;

  private constructor(options: NameServiceOptions) {
    this.#options = options;
    this.#allowance = new Allowance({ clock: options.clock, burst: BURST, perSecond: PER_SECOND });
  }

  static async listen(options: NameServiceOptions): Promise<NameService> {
    const service = new NameService(options);
    await service.#serve(options.streamSocket, false);
    await service.#serve(options.datagramSocket, true);
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) {
      server.close();
      await once(server, "close");
    }
  }

  async #serve(path: string, isDatagram: boolean): Promise<void> {
    await rm(path, { force: true }); // of a daemon that was killed
    const server = createServer((socket) => this.#carry(socket, isDatagram));
    server.maxConnections = MAX_CONNECTIONS;
    server.listen({ path, writableAll: true });
    await once(server, "listening");
    this.#servers.push(server);
  }

  #carry(socket: Socket, isDatagram: boolean): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {}); // it is closed after that
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    const reader = new MessageReader((message) => {
      if (this.#asked >= MAX_AT_ONCE || !this.#allowance.take()) return void socket.destroy();
      this.#asked += 1;
      void this.#answer(message, isDatagram)
        .then((answer) => {
          if (answer === undefined || socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
          else if (!socket.destroyed) writeMessage(socket, answer);
        })
        // Whatever an instance asks, and whoever answers: it never ends the daemon.
        .catch(() => socket.destroy())
        .finally(() => (this.#asked -= 1));
    }, MAX_QUESTION_BYTES);
    socket.on("data", (chunk: Buffer) => {
      if (!reader.push(chunk)) socket.destroy();
    });
  }

  async #answer(message: Buffer, isDatagram: boolean): Promise<Buffer | undefined> {
    const query = readNameQuery(message);
    if (query === undefined) return undefined;
    if ("answer" in query) return query.answer;
    try {
      const packet = await askResolver(query, this.#options);
      if (packet === undefined) return answerWith(query, ANSWER_CODE.serverFailure);
      const answer = judgeAnswer(query, packet, this.#options.isJudged);
      if (isDatagram) return fitDatagram(answer, query);
      // The library writes each name out, so that it may be longer than what the resolver sent.
      return answer.length <= MAX_MESSAGE_BYTES ? answer : answerWith(query, ANSWER_CODE.serverFailure);
    } catch {
      return answerWith(query, ANSWER_CODE.serverFailure); // what the library could not write
    }
  }
}
