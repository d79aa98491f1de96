import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { InstanceId } from "@hardshare/protocol";
import { ManualClock, silentLogger, systemClock } from "@hardshare/runtime";
import { type BoundedChannel, generateIdentity, sameKey, SshServer, USER_LIVENESS } from "@hardshare/wire/ssh";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { tokenSha256 } from "../features/tokens/token-codec.ts";
import type { TokenService } from "../features/tokens/token-service.ts";
import type { Caller } from "../http/caller.ts";
import type { TestHost } from "../testing/test-host.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../testing/test-world.fixture.ts";
import { Strangers } from "../http/strangers.ts";
import { WakeUpRouter } from "../wake-ups/wake-up-router.ts";
import { DRAIN_MS, MAX_TUNNEL_BUFFER_BYTES, pumpTunnel } from "./pump.ts";
import { tunnelRoute } from "./tunnel-route.ts";

let ground: TestGround;
let world: TestWorld;
let owner: TestUser;
/** A hub's SSH end that echoes what the server sends through it. */
let hubSsh: SshServer<string>;
const channels: BoundedChannel[] = [];
const asked: { username: string; host: string; originAddress: string }[] = [];

beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  const hostKey = generateIdentity("hub");
  hubSsh = new SshServer({
    hostKey: hostKey.privateKey,
    clock: systemClock,
    logger: silentLogger,
    logIn: (username, key) => (sameKey(`ssh-ed25519 ${key.toString("base64")}`, serverKey) ? username : undefined),
    onSession: ({ who }) => ({
      liveness: USER_LIVENESS,
      onStream(request) {
        asked.push({ username: who, host: request.host, originAddress: request.originAddress });
        const channel = request.accept();
        channels.push(channel);
        channel.pipe(channel);
      },
      onForward: () => false,
      onForwardCancelled: () => {},
      onClose: () => {},
    }),
  });
  const sshPort = await hubSsh.listen(0, "127.0.0.1");
  owner = await world.addUser("owner");
  await world.addHub({ sshPort, sshHostKey: hostKey.publicKey.trim() });
});
afterAll(async () => {
  await hubSsh[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

let serverKey = "";

async function makeReady(): Promise<{ host: TestHost; deploymentId: string; id: InstanceId; epoch: number }> {
  const { host, deploymentId, registered } = await world.addHost(owner);
  serverKey = registered.options.serverKey;
  await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const wanted = await host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.tunnel != null && instance;
  });
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  await world.untilState(owner, wanted.instanceId, "READY");
  return { host, deploymentId, id: wanted.instanceId, epoch: wanted.epoch };
}

function dial(id: string, token?: string): WebSocket {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return new WebSocket(`${world.url.replace("http", "ws")}/tunnel/${id}`, { headers, perMessageDeflate: false });
}

/** The error answer to a dial that is refused. */
async function refusal(socket: WebSocket): Promise<{ status: number | undefined; error: string; code: string }> {
  return new Promise((resolve) => {
    socket.on("error", () => {});
    socket.on("unexpected-response", (_request, response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => {
        const body = JSON.parse(text) as { error_message: string; code: string };
        resolve({ status: response.statusCode, error: body.error_message, code: body.code });
      });
    });
  });
}

test("a tunnel carries bytes both ways, and the hub hears the user's address", async () => {
  const { id } = await makeReady();
  const socket = dial(id, owner.token);
  await once(socket, "open");
  const sent = randomBytes(2 * 1024 * 1024);
  const received = createHash("sha256");
  let size = 0;
  const complete = new Promise<void>((resolve) => {
    socket.on("message", (data: Buffer) => {
      received.update(data);
      size += data.length;
      if (size === sent.length) resolve();
    });
  });
  for (let at = 0; at < sent.length; at += 60_000) socket.send(sent.subarray(at, at + 60_000));
  await complete;
  expect(received.digest("hex")).toBe(createHash("sha256").update(sent).digest("hex"));
  expect(asked.at(-1)).toEqual({ username: "server", host: id, originAddress: "127.0.0.1" });
  socket.close();
  await once(socket, "close");
});

test("a user who says with an empty frame that no more comes still gets the rest", async () => {
  const { id } = await makeReady();
  const socket = dial(id, owner.token);
  await once(socket, "open");
  let text = "";
  socket.on("message", (data: Buffer) => (text += data.toString()));
  socket.send(Buffer.from("all of it"));
  socket.send(Buffer.alloc(0));
  const [code] = (await once(socket, "close")) as [number];
  expect({ code, text }).toEqual({ code: 1000, text: "all of it" });
});

test("of a user who is lost without a word, what came is no whole stream for the instance", async () => {
  const { id } = await makeReady();
  const socket = dial(id, owner.token);
  await once(socket, "open");
  const channel = channels.at(-1)!;
  const failed = once(channel, "error");
  socket.send(Buffer.from("half a messa"));
  await once(socket, "message");
  socket.terminate();
  expect(await failed).toMatchObject([{ code: "connection_lost" }]);
});

test("only the instance's user gets through, and only while it is READY", async () => {
  const { host, deploymentId, id, epoch } = await makeReady();
  const stranger = await world.addUser("tunnel_stranger");
  expect(await refusal(dial(id))).toEqual({ status: 400, error: "wrong authorization token", code: "wrong_token" });
  expect(await refusal(dial(id, stranger.token))).toMatchObject({ status: 404, error: "instance not found" });
  expect(await refusal(dial("nonsense", owner.token))).toMatchObject({ status: 400, code: "bad_input" });
  expect(await refusal(new WebSocket(`${world.url.replace("http", "ws")}/other`))).toMatchObject({ code: "unrecognized_command" });
  await owner.call("POST", `/terminate/${id}`);
  expect(await refusal(dial(id, owner.token))).toMatchObject({ status: 400, code: "wrong_state" });
  await host.report(deploymentId, { instanceId: id, epoch }, { kind: "ended", reason: "user", clean: true, residue: [] });
});

test("a tunnel is cut at once when the instance ends, and when the token is revoked", async () => {
  const { id } = await makeReady();
  const { token } = (await (await world.admin()).call("POST", "/admin/tokens", { user: "owner" })).body as { token: string };
  const [first, second] = [dial(id, owner.token), dial(id, token)];
  await Promise.all([once(first, "open"), once(second, "open")]);
  const [cutFirst, cutSecond] = [once(first, "close"), once(second, "close")];
  expect((await owner.call("POST", `/revoke/${tokenSha256(token)}`)).status).toBe(200);
  expect((await cutSecond)[0]).toBe(1008);
  expect(first.readyState).toBe(WebSocket.OPEN);
  await owner.call("POST", `/terminate/${id}`);
  expect((await cutFirst)[0]).toBe(1008);
});

test("a user who left while the request was looked at costs no stream to the hub", async () => {
  const { id } = await makeReady();
  const socket = new Socket();
  using wakeUps = new WakeUpRouter(world.store.database.wakeUps);
  const route = tunnelRoute({
    database: world.store.database,
    wakeUps,
    tokens: {} as TokenService,
    identity: { privateKey: "" },
    addressOf: () => "192.0.2.1",
    strangers: new Strangers({ isProxy: () => false, logger: silentLogger }),
    clock: systemClock,
    logger: silentLogger,
    async identify() {
      socket.destroy();
      await once(socket, "close");
      return { user: "owner", claims: {} } as Caller;
    },
  });
  const request = { headers: { authorization: "Bearer token" }, socket } as IncomingMessage;
  const before = asked.length;
  await expect(route.prepare(request, id)).rejects.toMatchObject({ code: "connection_lost" });
  expect(asked).toHaveLength(before);
});

/** A WebSocket of the server with its client. */
async function connectPair() {
  const sockets = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(sockets, "listening");
  const client = new WebSocket(`ws://127.0.0.1:${(sockets.address() as { port: number }).port}`);
  const [[server]] = (await Promise.all([once(sockets, "connection"), once(client, "open")])) as [[WebSocket], unknown];
  return { server, client, [Symbol.dispose]: () => sockets.close() };
}

test("when the instance sends no more, the user is told and may go on sending; then the tunnel ends in order", async () => {
  using pair = await connectPair();
  const heard: string[] = [];
  const instance = new Duplex({
    read() {
      this.push(null);
    },
    write(chunk: Buffer, _encoding, done) {
      heard.push(chunk.toString());
      done();
    },
  });
  const told = once(pair.client, "message") as Promise<[Buffer]>;
  pumpTunnel(pair.server, instance, systemClock);
  expect((await told)[0]).toHaveLength(0);
  pair.client.send(Buffer.from("the rest"));
  pair.client.send(Buffer.alloc(0));
  expect((await once(pair.client, "close"))[0]).toBe(1000);
  expect(heard).toEqual(["the rest"]);
});

test("a user who does not end after the instance did is waited for, but not for ever", async () => {
  using pair = await connectPair();
  const clock = new ManualClock();
  const instance = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  pumpTunnel(pair.server, instance, clock);
  const told = once(pair.client, "message");
  instance.push(null);
  await told;
  clock.advance(DRAIN_MS - 1);
  expect(pair.server.readyState).toBe(WebSocket.OPEN);
  const closed = once(pair.client, "close");
  clock.advance(1);
  expect((await closed)[0]).toBe(1000);
});

test("when the user does not read, reading from the instance stops, and goes on when the user reads again", async () => {
  using pair = await connectPair();
  const { server, client } = pair;
  client.pause();
  const total = 32 * 1024 * 1024;
  let produced = 0;
  const source = new Duplex({
    read() {
      const chunk = produced < total ? Buffer.alloc(64 * 1024) : null;
      produced += chunk?.length ?? 0;
      this.push(chunk);
    },
    write: (_chunk, _encoding, done) => done(),
  });
  pumpTunnel(server, source, systemClock);
  while (server.bufferedAmount <= MAX_TUNNEL_BUFFER_BYTES / 2) await once(source, "pause");
  expect(server.bufferedAmount).toBeLessThanOrEqual(MAX_TUNNEL_BUFFER_BYTES);
  expect(produced).toBeLessThan(total);
  let received = 0;
  client.on("message", (data: Buffer) => {
    received += data.length;
    if (data.length === 0) client.send(data); // neither side sends any more
  });
  client.resume();
  await once(client, "close");
  expect(received).toBe(total);
});

test("an instance that sends byte by byte to a user who does not read fills no memory with chunks", async () => {
  using pair = await connectPair();
  const { server, client } = pair;
  client.pause();
  let chunks = 0;
  const source = new Duplex({
    readableHighWaterMark: 1,
    read() {
      chunks += 1;
      setImmediate(() => this.push("x"));
    },
    write: (_chunk, _encoding, done) => done(),
  });
  // Until the kernel takes no more: what it takes would be told as gone.
  while (server.bufferedAmount === 0) {
    server.send(Buffer.alloc(64 * 1024));
    await new Promise(setImmediate);
  }
  pumpTunnel(server, source, systemClock);
  await once(source, "pause");
  expect(chunks).toBeLessThanOrEqual(260);
  source.destroy();
  client.terminate();
});
