import { once } from "node:events";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect, type Server } from "node:net";
import ssh2 from "ssh2";
import { afterEach, beforeEach, expect, test } from "vitest";
import { generateIdentity } from "./identity.ts";
import { MAX_HALF_OPEN_PER_SOURCE } from "./half-open-limit.ts";
import { LOGIN_TIMEOUT_MS } from "./limits.ts";
import { SshServer } from "./ssh-server.ts";
import { internalsOf } from "./ssh2-internals.ts";

/** Timers that fire when the test says so. */
let timers: { delayMs: number; run: () => void }[];
let attempts: number;
let warnings: string[];
let server: SshServer<string>;
let port: number;

beforeEach(async () => {
  timers = [];
  attempts = 0;
  warnings = [];
  server = new SshServer<string>({
    hostKey: generateIdentity("hub").privateKey,
    logIn: () => {
      attempts += 1;
      return undefined;
    },
    onSession: () => {
      throw new Error("nobody may log in");
    },
    clock: {
      monotonicMs: () => 0,
      after(delayMs, run) {
        const timer = { delayMs, run };
        timers.push(timer);
        return { [Symbol.dispose]: () => void (timers = timers.filter((other) => other !== timer)) };
      },
    },
    logger: { info() {}, warn: (message) => void warnings.push(message) },
  });
  port = await server.listen(0, "127.0.0.1");
});
afterEach(() => server[Symbol.asyncDispose]());

test("who does not log in within the login time is cut off", async () => {
  const socket = connect(port, "127.0.0.1");
  socket.resume();
  await expect.poll(() => timers.map(({ delayMs }) => delayMs)).toEqual([LOGIN_TIMEOUT_MS]);
  timers[0]?.run();
  await once(socket, "close");
});

test("a client that tries key after key is cut off after six", async () => {
  const client = new ssh2.Client();
  client.on("error", () => {});
  const keys = Array.from({ length: 10 }, () => generateIdentity("").privateKey);
  const authHandler = () => {
    const key = keys.pop();
    return key === undefined ? false : { type: "publickey" as const, username: "root", key };
  };
  client.connect({ host: "127.0.0.1", port, username: "root", authHandler });
  await once(client, "close");
  expect(attempts).toBe(6);
});

test("a client that asks again and again without a key is cut off", async () => {
  const client = new ssh2.Client();
  client.on("error", () => {});
  let requests = 0;
  const authHandler = () => {
    requests += 1;
    return requests < 100 ? { type: "none" as const, username: "root" } : false;
  };
  client.connect({ host: "127.0.0.1", port, username: "root", authHandler });
  await once(client, "close");
  expect(requests).toBe(21);
});

test("a client that sends ever more before it has logged in is cut off", async () => {
  const client = new ssh2.Client();
  client.on("error", () => {});
  const closed = new Promise<void>((resolve) => client.on("close", () => resolve()));
  client.connect({ host: "127.0.0.1", port, username: "root", authHandler: () => undefined });
  await once(client, "handshake");
  for (let count = 0; count < 6000; count += 1) internalsOf(client)._protocol.ping();
  await closed;
});

test("a client that wants a costly key exchange is refused", async () => {
  const client = new ssh2.Client();
  const refused = new Promise<Error>((resolve) => client.on("error", resolve));
  client.connect({ host: "127.0.0.1", port, username: "root", algorithms: { kex: ["diffie-hellman-group18-sha512"] } });
  expect(String(await refused)).toMatch(/no matching key exchange/);
});

test("a connection that can't be accepted does not end the server", async () => {
  const accepted = new Promise<Server>((resolve) => {
    subscribe("net.server.socket", function onSocket(message) {
      unsubscribe("net.server.socket", onSocket);
      resolve((message as { socket: { server: Server } }).socket.server);
    });
  });
  const socket = connect(port, "127.0.0.1");
  (await accepted).emit("error", new Error("accept EMFILE"));
  expect(warnings).toEqual(["a connection was not accepted"]);
  await once(socket, "data");
  socket.destroy();
});

test("one source has a limited number of connections that have not logged in; when they close, others may come", async () => {
  const open = () => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    return socket;
  };
  const sockets = Array.from({ length: MAX_HALF_OPEN_PER_SOURCE }, open);
  await Promise.all(sockets.map((socket) => once(socket, "data")));
  const late = open();
  await expect.poll(() => late.closed).toBe(true);
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => timers.length).toBe(0);
  await once(open(), "data");
});

test("an SSH port in use is refused with a message", async () => {
  const other = new SshServer<string>({
    hostKey: generateIdentity("").privateKey,
    logIn: () => undefined,
    onSession: () => {
      throw new Error("nobody may log in");
    },
    clock: { monotonicMs: () => 0, after: () => ({ [Symbol.dispose]() {} }) },
    logger: { info() {}, warn() {} },
  });
  await expect(other.listen(port, "127.0.0.1")).rejects.toMatchObject({ code: "port_in_use", details: { port } });
  await other[Symbol.asyncDispose]();
});
