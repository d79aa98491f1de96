import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { openWebSocket } from "./web-socket.ts";

test("a peer with much to send answers the server's ping all the same", async () => {
  const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(sockets, "listening");
  const connected = once(sockets, "connection") as Promise<[WebSocket]>;
  const { port } = sockets.address() as AddressInfo;
  const peer = await openWebSocket(`ws://127.0.0.1:${port}`, new AbortController().signal);
  const [server] = await connected;
  server.pause();
  while (peer.bufferedBytes() < 1024 * 1024) {
    peer.send("x".repeat(256 * 1024));
    await new Promise(setImmediate); // until the kernel takes no more
  }
  const answered = once(server, "pong");
  server.ping("there?");
  server.resume();
  expect(String((await answered)[0])).toBe("there?");
  peer.destroy();
  sockets.close();
});
