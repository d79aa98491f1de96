import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";
import { AppError, TUNNEL_BUFFER_BYTES } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { openTunnel, serveTunnel } from "./index.ts";

const instanceId = "01234567-89ab-4cde-8f01-23456789abcd";

/** The server's end of tunnels, as the test says. */
async function serve(onTunnel: (socket: WebSocket) => void) {
  const sockets = new WebSocketServer({ noServer: true });
  const server = createServer().on("upgrade", (request, socket, head) => {
    if (request.url !== `/tunnel/${instanceId}` || request.headers.authorization !== "Bearer good") {
      const body = JSON.stringify({ error_message: "wrong authorization token", code: "wrong_token" });
      socket.end(`HTTP/1.1 400 Bad Request\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, onTunnel);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends back what comes, and ends after the other side has. */
function echo(socket: WebSocket): void {
  socket.on("message", (data: Buffer) => (data.length === 0 ? socket.close(1000) : socket.send(data)));
}

async function readAll(stream: Duplex): Promise<string> {
  let text = "";
  for await (const chunk of stream as AsyncIterable<Buffer>) text += chunk.toString("latin1");
  return text;
}

test("bytes go both ways, and what comes after our end still arrives", async () => {
  await using server = await serve(echo);
  const tunnel = await openTunnel({ url: server.url, token: "good", instanceId });
  tunnel.end("hello robot");
  expect(await readAll(tunnel)).toBe("hello robot");
});

test("a write of any size arrives whole", async () => {
  await using server = await serve(echo);
  const tunnel = await openTunnel({ url: server.url, token: "good", instanceId });
  const bytes = Buffer.alloc(2 * 1024 * 1024 + 17, "0123456789");
  tunnel.end(bytes);
  expect((await readAll(tunnel)) === bytes.toString("latin1")).toBe(true);
});

test("a refusal is the server's own error", async () => {
  await using server = await serve(echo);
  const refused = openTunnel({ url: server.url, token: "bad", instanceId });
  await expect(refused).rejects.toMatchObject({ code: "wrong_token", message: "wrong authorization token" });
});

test("a server that can't be reached is told so", async () => {
  const server = await serve(echo);
  await server[Symbol.asyncDispose]();
  await expect(openTunnel({ url: server.url, token: "good", instanceId })).rejects.toMatchObject({ code: "server_unreachable" });
});

test("a tunnel that breaks fails with the server's reason", async () => {
  await using server = await serve((socket) => socket.close(1011, "instance ended"));
  const tunnel = await openTunnel({ url: server.url, token: "good", instanceId });
  const [error] = (await once(tunnel, "error")) as [AppError];
  expect(error).toMatchObject({ code: "connection_lost" });
  expect(error.message).toContain("instance ended");
});

test("a reader that stalls stops the sender instead of filling memory", async () => {
  let sender: WebSocket | undefined;
  const total = 64 * 1024 * 1024;
  await using server = await serve((socket) => {
    sender = socket;
    for (let sent = 0; sent < total; sent += 65_536) socket.send(Buffer.alloc(65_536));
  });
  const tunnel = await openTunnel({ url: server.url, token: "good", instanceId });
  await once(tunnel, "readable");
  expect(tunnel.readableLength).toBeLessThanOrEqual(TUNNEL_BUFFER_BYTES + 65_536);
  expect(sender?.bufferedAmount).toBeGreaterThan(total / 2);
  let size = 0;
  for await (const chunk of tunnel as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size === total) break;
  }
  expect(size).toBe(total);
});

test("a server that stalls stops the writer instead of filling memory", async () => {
  await using server = await serve((socket) => socket.pause());
  const tunnel = await openTunnel({ url: server.url, token: "good", instanceId });
  let accepted = 0;
  while (tunnel.write(Buffer.alloc(65_536))) accepted += 65_536;
  expect(accepted).toBeLessThanOrEqual(TUNNEL_BUFFER_BYTES);
  tunnel.destroy();
});

test("a local listener carries each connection by its own tunnel and cuts them all when it ends", async () => {
  await using server = await serve(echo);
  const problems: unknown[] = [];
  const local = await serveTunnel({
    port: 0,
    open: (signal) => openTunnel({ url: server.url, token: "good", instanceId, signal }),
    onProblem: (error) => problems.push(error),
  });
  const first = connect({ port: local.port, host: local.host, allowHalfOpen: true });
  first.end("one");
  expect(await readAll(first)).toBe("one");
  const second = connect({ port: local.port, host: local.host });
  second.write("two");
  await once(second, "data");
  const closed = once(second, "close");
  await local[Symbol.asyncDispose]();
  await closed;
  expect(problems).toEqual([]);
});

test("a tunnel that breaks resets its local connection, and one that is reset breaks its tunnel", async () => {
  const ends: { hasEnded: boolean }[] = [];
  let closed = 0;
  await using server = await serve((socket) => {
    const end = { hasEnded: false };
    ends.push(end);
    socket.on("message", (data: Buffer) => {
      if (data.length === 0) end.hasEnded = true;
      else if (String(data) === "break") socket.terminate();
      else socket.send(data);
    });
    socket.once("close", () => (closed += 1));
  });
  await using local = await serveTunnel({
    port: 0,
    open: (signal) => openTunnel({ url: server.url, token: "good", instanceId, signal }),
    onProblem: () => {},
  });
  const first = connect({ port: local.port, host: local.host });
  first.write("break");
  const [error] = (await once(first, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNRESET");
  const second = connect({ port: local.port, host: local.host });
  second.write("hello");
  await once(second, "data");
  second.write("half a messa");
  second.resetAndDestroy();
  await expect.poll(() => closed).toBe(2);
  expect(ends).toEqual([{ hasEnded: false }, { hasEnded: false }]);
});

test("a connection that can't be carried is closed and told, and the listener goes on", async () => {
  const problems: unknown[] = [];
  await using local = await serveTunnel({
    port: 0,
    open: () => Promise.reject(new AppError("host_offline", "the host is offline")),
    onProblem: (error) => problems.push(error),
  });
  for (let round = 1; round <= 2; round += 1) {
    const socket = connect({ port: local.port, host: local.host });
    socket.on("error", () => {});
    await once(socket, "close");
    expect(problems).toHaveLength(round);
  }
});

test("a local port that is taken is told so", async () => {
  await using first = await serveTunnel({ port: 0, open: () => Promise.reject(new Error("unused")), onProblem: () => {} });
  const second = serveTunnel({ port: first.port, open: () => Promise.reject(new Error("unused")), onProblem: () => {} });
  await expect(second).rejects.toMatchObject({ code: "port_in_use" });
});
