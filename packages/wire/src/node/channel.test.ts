import { once } from "node:events";
import { randomBytes } from "node:crypto";
import type { AddressInfo, Socket } from "node:net";
import { HelloBase } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import * as z from "zod";
import { acceptChannel, type AcceptedChannel } from "../channel/accept-channel.ts";
import { connectChannel, type ConnectChannelOptions, STEADY_AFTER_MS } from "../channel/connect-channel.ts";
import { FrameChannel } from "../channel/frame-channel.ts";
import { generateIdentity, sameKey, signWith, verifyWith } from "../ssh/index.ts";
import { openWebSocket, wrapWebSocket } from "./web-socket.ts";

const Word = z.object({ type: z.literal("word"), text: z.string() });
type Word = z.infer<typeof Word>;
type Accepted = AcceptedChannel<z.infer<typeof HelloBase>, Word, Word>;

const crypto = { sign: signWith, verify: verifyWith, sameKey };
const clock = {
  monotonicMs: () => performance.now(),
  after(delayMs: number, run: () => void): Disposable {
    const timer = setTimeout(run, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
const random = { bytes: (length: number) => randomBytes(length) };
const logger = { info() {}, warn() {} };
const server = generateIdentity("server");
const host = generateIdentity("host");

/** A server that accepts one registered host; `accepted` and `refused` hand out what happens, in order. */
async function listen(pinnedKey = host.publicKey) {
  const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: 1024 * 1024 });
  await once(sockets, "listening");
  const outcomes = new Mailbox<Accepted | Error>();
  sockets.on("connection", (socket) => {
    acceptChannel<z.infer<typeof HelloBase>, Word, Word>({
      socket: wrapWebSocket(socket),
      role: "host",
      hello: HelloBase,
      receive: Word,
      privateKey: server.privateKey,
      publicKey: server.publicKey,
      lookUpKey: async (id) => (id === "h1" ? pinnedKey : undefined),
      admit: async () => {},
      now: () => new Date(),
      crypto,
      clock,
      random,
    }).then(
      (accepted) => outcomes.put(accepted),
      (error: Error) => outcomes.put(error),
    );
  });
  return {
    url: `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`,
    outcomes,
    async [Symbol.asyncDispose]() {
      for (const client of sockets.clients) client.terminate();
      await new Promise((resolve) => sockets.close(resolve));
    },
  };
}

class Mailbox<T> {
  #items: T[] = [];
  #waiting: ((item: T) => void)[] = [];
  put(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(item);
    else this.#items.push(item);
  }
  async take(): Promise<T> {
    return this.#items.length > 0 ? this.#items.shift()! : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

function connect(url: string, more: Partial<ConnectChannelOptions<Word, Word>> = {}) {
  const opened = new Mailbox<true>();
  const received = new Mailbox<Word>();
  const closed = new Mailbox<string>();
  const refused = new Mailbox<string>();
  const client = connectChannel<Word, Word>({
    url,
    role: "host",
    id: "h1",
    session: "session-1",
    privateKey: host.privateKey,
    serverKey: server.publicKey,
    hello: () => ({}),
    receive: Word,
    onOpen: () => opened.put(true),
    onMessage: (message) => received.put(message),
    onClose: (reason) => closed.put(reason),
    onRefused(code) {
      refused.put(code);
      return "stop";
    },
    openSocket: openWebSocket,
    backOff: { nextMs: () => 1, reset() {} },
    crypto,
    clock,
    random,
    logger,
    ...more,
  });
  return { client, opened, received, closed, refused };
}

test("both ends prove their keys, then messages go both ways, in order, none lost between welcome and handling", async () => {
  await using at = await listen();
  const peer = connect(at.url);
  await using _ = peer.client;
  const accepted = (await at.outcomes.take()) as Accepted;
  for (const text of ["a", "b", "c"]) accepted.channel.send({ type: "word", text });
  await peer.opened.take();
  for (const text of ["a", "b", "c"]) expect((await peer.received.take()).text).toBe(text);
  const heard = new Mailbox<string>();
  accepted.channel.handle((message) => heard.put(message.text));
  expect(peer.client.send({ type: "word", text: "hello" })).toBe(true);
  expect(await heard.take()).toBe("hello");
});

test("a peer with another key than the pinned one, or an unknown id, is refused and told so", async () => {
  await using at = await listen(generateIdentity("other").publicKey);
  const peer = connect(at.url);
  await using _ = peer.client;
  expect(await at.outcomes.take()).toMatchObject({ code: "identity_refused" });
  expect(await peer.refused.take()).toBe("identity_refused");
  await peer.client.closed;

  const stranger = connect(at.url, { id: "h2" });
  await using _stranger = stranger.client;
  expect(await stranger.refused.take()).toBe("identity_refused");
});

test("a server with another key than the pinned one is refused before anything is handed over", async () => {
  await using at = await listen();
  const peer = connect(at.url, { serverKey: generateIdentity("real server").publicKey });
  await using _ = peer.client;
  expect(await peer.refused.take()).toBe("identity_refused");
  await peer.client.closed;
  expect(peer.client.isOpen).toBe(false);
});

test("a lost connection is made again", async () => {
  await using at = await listen();
  const peer = connect(at.url);
  await using _ = peer.client;
  const first = (await at.outcomes.take()) as Accepted;
  await peer.opened.take();
  first.channel.close("going away");
  expect(await peer.closed.take()).toBe("going away");
  const second = (await at.outcomes.take()) as Accepted;
  await peer.opened.take();
  expect(second.hello.session).toBe("session-1");
});

test("a WebSocket counts the bytes of messages that are not complete yet", async () => {
  const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(sockets, "listening");
  const connected = once(sockets, "connection");
  const peer = new WebSocket(`ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`);
  const [incoming] = (await connected) as [WebSocket & { _socket: Socket }];
  const wrapped = wrapWebSocket(incoming);
  const before = wrapped.bytesRead();
  const arrived = once(incoming._socket, "data");
  peer.once("open", () => peer.send("first half", { fin: false }));
  await arrived;
  expect(wrapped.bytesRead()).toBeGreaterThan(before);
  peer.terminate();
  await new Promise((resolve) => sockets.close(resolve));
});

test("attempts come further and further apart until a connection has stood for a while", async () => {
  await using at = await listen();
  const waiting = new Set<() => void>();
  let resets = 0;
  const peer = connect(at.url, {
    backOff: { nextMs: () => 1, reset: () => void (resets += 1) },
    clock: {
      ...clock,
      after(delayMs, run) {
        if (delayMs !== STEADY_AFTER_MS) return clock.after(delayMs, run);
        waiting.add(run);
        return { [Symbol.dispose]: () => void waiting.delete(run) };
      },
    },
  });
  await using _ = peer.client;
  for (let count = 0; count < 3; count += 1) {
    const accepted = (await at.outcomes.take()) as Accepted;
    await peer.opened.take();
    accepted.channel.close("the desired state could not be read");
    await peer.closed.take();
  }
  expect(resets).toBe(0);
  const accepted = (await at.outcomes.take()) as Accepted;
  await peer.opened.take();
  for (const run of waiting) run();
  expect(resets).toBe(1);
  accepted.channel.close("bye");
});

test("a message that does not fit ends the channel and nothing else", async () => {
  await using at = await listen();
  const peer = connect(at.url);
  await using _ = peer.client;
  const accepted = (await at.outcomes.take()) as Accepted;
  accepted.channel.handle(() => {});
  await peer.opened.take();
  peer.client.send({ type: "nonsense" } as unknown as Word);
  expect(await accepted.channel.closed).toContain("does not fit");
  await peer.opened.take(); // and it is back
});

test("a peer that sends faster than is handled waits, whatever it sends, and all of it comes (G10)", async () => {
  const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: 1024 * 1024 });
  await once(sockets, "listening");
  const connected = once(sockets, "connection");
  const peer = new WebSocket(`ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`);
  const [incoming] = (await connected) as [WebSocket];
  await once(peer, "open");
  const wrapped = wrapWebSocket(incoming);
  const paused = new Mailbox<true>();
  let readChars = 0;
  await using channel = new FrameChannel<Word, Word>({
    receive: Word,
    clock,
    watch: "answers",
    socket: {
      ...wrapped,
      pause: () => {
        wrapped.pause();
        paused.put(true);
      },
      listen: (listener) =>
        wrapped.listen({
          onClose: (reason) => listener.onClose(reason),
          onText: (text) => {
            readChars += text.length;
            listener.onText(text);
          },
        }),
    },
  });
  const count = 64;
  const text = "x".repeat(512 * 1024);
  for (let index = 0; index < count; index += 1) peer.send(JSON.stringify({ type: "word", text: `${index} ${text}` }));
  await paused.take();
  expect(readChars).toBeLessThan(4 * 512 * 1024);
  expect(peer.bufferedAmount).toBeGreaterThan(512 * 1024);
  const got: number[] = [];
  const done = new Mailbox<true>();
  channel.handle(async (word) => {
    await new Promise(setImmediate);
    expect(readChars).toBeLessThan((got.length + 8) * 512 * 1024);
    if (got.push(Number.parseInt(word.text)) === count) done.put(true);
  });
  await Promise.race([done.take(), channel.closed]);
  expect(got).toEqual(Array.from({ length: count }, (_, index) => index));
  peer.terminate();
  await new Promise((resolve) => sockets.close(resolve));
});
