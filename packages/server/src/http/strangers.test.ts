import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { silentLogger } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { MAX_CONNECTIONS_PER_TOKEN, MAX_STRANGERS, Strangers } from "./strangers.ts";

let port: number;
let end: () => void;
let accepted: Socket[];
let isProxy: (address: string) => boolean;
let strangers: Strangers;
beforeEach(async () => {
  isProxy = () => false;
  accepted = [];
  strangers = new Strangers({ isProxy: (address) => isProxy(address), logger: silentLogger });
  const server = createServer((asked, response) => {
    const token = asked.headers.authorization;
    if (token !== undefined) strangers.recognize(asked.socket, token);
    response.end("served");
  });
  strangers.watch(server);
  server.on("connection", (socket: Socket) => accepted.push(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  ({ port } = server.address() as AddressInfo);
  end = () => {
    server.closeAllConnections();
    server.close();
  };
});
afterEach(() => end());

/** Connections that say nothing. */
async function keepSilent(count: number, localAddress = "127.0.0.1"): Promise<Socket[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ port, host: "127.0.0.1", localAddress });
      socket.on("error", () => {});
      await once(socket, "connect");
      return socket;
    }),
  );
}

async function ask(localAddress = "127.0.0.1", token?: string): Promise<{ status: number | undefined; body: string }> {
  const asked = request({
    port,
    host: "127.0.0.1",
    localAddress,
    agent: false,
    headers: token === undefined ? {} : { authorization: token },
  });
  const answered = once(asked.end(), "response") as Promise<[IncomingMessage]>;
  const [answer] = await answered;
  return { status: answer.statusCode, body: await text(answer) };
}

test("one address can't hold more than its share, is told so, and keeps nobody else out", async () => {
  const silent = await keepSilent(MAX_STRANGERS.perSource);
  expect(await ask()).toEqual({ status: 503, body: expect.stringMatching(/256 connections from your address are open without a token/) });
  expect(await ask("127.0.0.2")).toEqual({ status: 200, body: "served" });
  const isLeft = new Promise((resolve) => accepted[0]?.once("close", resolve));
  silent[0]?.destroy();
  await isLeft;
  expect((await ask()).status).toBe(200);
});

test("a connection with a token takes no stranger's place, up to a number of them", async () => {
  const say = async (socket: Socket) => {
    socket.write("GET / HTTP/1.1\r\nHost: server\r\nAuthorization: a\r\n\r\n");
    await once(socket, "data");
  };
  for (let count = 0; count < MAX_CONNECTIONS_PER_TOKEN; count += 128) {
    await Promise.all((await keepSilent(128)).map(say));
  }
  await Promise.all((await keepSilent(MAX_STRANGERS.perSource)).map(say)); // served, but strangers
  expect((await ask()).status).toBe(503);
  expect((await ask("127.0.0.2", "another")).status).toBe(200);
});

test("proxies of ours are not limited", async () => {
  isProxy = (address) => address === "127.0.0.1";
  await keepSilent(MAX_STRANGERS.perSource);
  expect((await ask()).status).toBe(200);
});
