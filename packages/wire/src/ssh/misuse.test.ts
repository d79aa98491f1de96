import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FORWARD_PORT } from "@hardshare/protocol";
import ssh2 from "ssh2";
import { afterEach, beforeEach, expect, test } from "vitest";
import { KEY_EXCHANGE_TIMEOUT_MS, WINDOW_BYTES } from "./limits.ts";
import { internalsOf } from "./ssh2-internals.ts";
import { holdBack, SshWorld } from "./testing/ssh-world.fixture.ts";

let world: SshWorld;
beforeEach(async () => {
  world = await SshWorld.start();
});
afterEach(() => world[Symbol.asyncDispose]());

/** A client of plain ssh2, whose forwarded channels are accepted and handed to `misuse`. */
async function startMisuser(
  misuse: (channel: ssh2.Channel, client: ssh2.Client) => void,
): Promise<{ socket: Socket; client: ssh2.Client }> {
  const socket = connect(world.port, "127.0.0.1");
  const client = new ssh2.Client();
  client.on("error", () => {});
  client.on("tcp connection", (_details, accept) => misuse(accept(), client));
  client.connect({ sock: socket, username: "h-1", privateKey: world.user.privateKey, strictVendor: false });
  await once(client, "ready");
  await new Promise<void>((resolve) => client.forwardIn("", FORWARD_PORT, () => resolve()));
  world.atEnd(() => socket.destroy());
  return { socket, client };
}

test("a peer that overruns its window is cut off", async () => {
  const { socket } = await startMisuser((channel, client) => {
    const id = (channel as unknown as { outgoing: { id: number } }).outgoing.id;
    for (let sent = 0; sent <= WINDOW_BYTES; sent += 32_768) internalsOf(client)._protocol.channelData(id, Buffer.alloc(32_768));
  });
  const stream = await world.openForwarded();
  await expect.poll(() => stream.closed && socket.closed).toBe(true);
  expect(stream.bufferedBytes).toBe(0);
});

test("a peer that asks for replies and never reads them is cut off before they fill the memory", async () => {
  const { socket, client } = await startMisuser(() => {});
  socket.pause();
  // Each request for a session is refused with a sentence.
  const protocol = internalsOf(client)._protocol as unknown as { session(id: number, window: number, packetSize: number): void };
  const flood = setInterval(() => {
    for (let count = 0; count < 2000; count += 1) protocol.session(count, WINDOW_BYTES, 32_768);
  }, 1);
  await expect.poll(() => world.sessions.length, { timeout: 18_000 }).toBe(0);
  clearInterval(flood);
});

test("a peer that begins to exchange keys and never ends is cut off", async () => {
  const exchange = holdBack(KEY_EXCHANGE_TIMEOUT_MS);
  await world.stopServer();
  await world.startServer(exchange.clock);
  const { socket } = await startMisuser(() => {});
  const session = world.sessions[0];
  session?.channels.renewKeys();
  await once(socket, "data"); // which was answered
  await expect.poll(() => exchange.waiting.size).toBe(0);
  socket.pause();
  session?.channels.renewKeys();
  expect(exchange.waiting.size).toBe(1);
  exchange.fire();
  expect(session?.channels.isClosed).toBe(true);
});

test("a peer that asks for replies while keys are exchanged is cut off before they fill the memory", async () => {
  await world.stopServer();
  await world.startServer(holdBack(KEY_EXCHANGE_TIMEOUT_MS).clock);
  const { socket, client } = await startMisuser(() => {});
  const { channels } = world.sessions[0] ?? {};
  socket.pause();
  channels?.renewKeys();
  const protocol = internalsOf(client)._protocol as unknown as { session(id: number, window: number, packetSize: number): void };
  for (let count = 0; count < 5000; count += 1) protocol.session(count, WINDOW_BYTES, 32_768);
  await expect.poll(() => channels?.isClosed).toBe(true);
});

test("a shell, a command and a forward to elsewhere are refused", async () => {
  const { client } = await startMisuser(() => {});
  await expect(new Promise((_, reject) => client.shell((error) => reject(error ?? new Error("opened"))))).rejects.toThrow(/nothing else/);
  await expect(new Promise((_, reject) => client.exec("id", (error) => reject(error ?? new Error("opened"))))).rejects.toThrow(
    /nothing else/,
  );
  const streamlocal = new Promise((_, reject) =>
    client.openssh_forwardInStreamLocal("/tmp/x", (error) => reject(error ?? new Error("bound"))),
  );
  await expect(streamlocal).rejects.toThrow(/Unable to bind/);
});
