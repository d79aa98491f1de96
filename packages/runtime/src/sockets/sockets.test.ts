import { once } from "node:events";
import { type AddressInfo, connect, createServer, Socket } from "node:net";
import { dirname, join } from "node:path";
import { tmpdir } from "node:os";
import { mkdtemp, rm } from "node:fs/promises";
import { expect, test, vi } from "vitest";
import { cut, onOrderlyEnd, ResetWatch } from "./index.ts";

/** Both ends of a TCP connection. */
async function connection() {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "connection");
  const peer = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  await once(peer, "connect");
  const [socket] = (await accepted) as [Socket];
  server.close();
  for (const end of [peer, socket]) end.on("error", () => {});
  return { peer, socket };
}

/** What is told of a socket, until it closes. */
async function told(socket: Socket): Promise<string[]> {
  const events: string[] = [];
  onOrderlyEnd(socket, () => events.push("orderly end"));
  socket.on("error", () => events.push("error"));
  await new Promise((resolve) => socket.once("close", resolve));
  return events;
}

test("a reset that comes with bytes, which Node tells as an end, is none", async () => {
  for (let count = 0; count < 20; count += 1) {
    const { peer, socket } = await connection();
    const events = told(socket.resume());
    peer.write("half a me");
    peer.resetAndDestroy();
    expect(await events).toEqual(["error"]);
  }
});

test("an end in order is one, also while the other way goes on", async () => {
  const { peer, socket } = await connection();
  const events = told(socket.resume());
  const heard = once(peer, "data");
  peer.end("a message");
  await new Promise<void>((resolve) => onOrderlyEnd(socket, resolve));
  socket.end("the answer");
  expect(String((await heard)[0])).toBe("the answer");
  expect(await events).toEqual(["orderly end"]);
});

test("a Unix socket whose peer ended in order and is gone has ended in order", async () => {
  const path = join(await mkdtemp(join(tmpdir(), "hardshare-sockets-")), "s");
  const server = createServer({ allowHalfOpen: true }).listen(path);
  await once(server, "listening");
  const accepted = once(server, "connection");
  const peer = connect({ path, allowHalfOpen: true });
  const [socket] = (await accepted) as [Socket];
  peer.end("all of it");
  await once(peer, "finish");
  peer.destroy();
  await new Promise<void>((resolve) => onOrderlyEnd(socket.resume(), resolve));
  socket.destroy();
  server.close();
  await rm(dirname(path), { recursive: true });
});

test("of a socket that has ended its own way, an end is believed", async () => {
  const { peer, socket } = await connection();
  const events = told(socket.resume());
  socket.end();
  peer.resume().end();
  expect(await events).toEqual(["orderly end"]);
});

test.each(["paused", "whose peer has ended its way"])("a reset of a socket %s is noticed, which else nothing tells", async (how) => {
  const { peer, socket } = await connection();
  using watch = new ResetWatch();
  if (how === "paused") {
    socket.on("data", () => {}).pause();
    peer.write(Buffer.alloc(100_000));
  } else {
    const ended = once(socket.resume(), "end");
    peer.end();
    await ended;
  }
  const closed = new Promise((resolve) => socket.once("close", resolve));
  watch.add(socket);
  peer.resetAndDestroy();
  await closed;
});

test("who still stands is left alone, and sent nothing", async () => {
  const { peer, socket } = await connection();
  using watch = new ResetWatch();
  let bytes = 0;
  peer.on("data", (chunk: Buffer) => (bytes += chunk.length));
  socket.on("data", () => {}).pause();
  const write = vi.spyOn(socket, "write");
  watch.add(socket);
  await expect.poll(() => write.mock.calls.length).toBe(1);
  peer.write("still here");
  const heard = once(socket.resume(), "data");
  expect(String((await heard)[0])).toBe("still here");
  expect(bytes).toBe(0);
  for (const end of [peer, socket]) cut(end);
});

test("a cut resets a connection, and closes also one whose end is on its way", async () => {
  const { peer, socket } = await connection();
  const broken = new Promise((resolve) => peer.resume().once("close", resolve));
  cut(socket);
  expect(await broken).toBe(true); // it had an error
  const other = await connection();
  const closed = new Promise((resolve) => other.socket.once("close", resolve));
  other.socket.end();
  await new Promise<void>((resolve) => process.nextTick(resolve));
  cut(other.socket);
  await closed;
  other.peer.destroy();
});
