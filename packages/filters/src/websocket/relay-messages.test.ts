import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { relayMessages, type SocketPassage } from "./relay-messages.ts";

const ends: { terminate(): void }[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end.terminate();
});

/** Both ends of a WebSocket, and the stream below the second. */
async function connect() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  await once(server, "listening");
  const near = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { perMessageDeflate: false });
  const [[far, { socket: stream }]] = (await Promise.all([once(server, "connection"), once(near, "open")])) as unknown as [
    [WebSocket, { socket: Socket }],
  ];
  ends.push(near, far);
  server.close();
  return { near, far, stream };
}

async function relayWith(judge: (text: string) => SocketPassage) {
  const [client, device] = [await connect(), await connect()];
  const broken: string[] = [];
  relayMessages({
    client: client.far,
    device: device.near,
    judge: (_direction, message) => judge(message.toString()),
    onBroken: (direction, { message }) => broken.push(`${direction}: ${message}`),
  });
  return { client: client.near, clientStream: client.stream, toClient: client.far, toDevice: device.near, device: device.far, broken };
}

function heardBy(socket: WebSocket, text: string): Promise<void> {
  return new Promise((resolve) => {
    const listen = (data: Buffer) => {
      if (data.toString() !== text) return;
      socket.off("message", listen);
      resolve();
    };
    socket.on("message", listen);
  });
}

test("a message that can't be judged does not pass, and ends both sides", async () => {
  const { client, device, broken } = await relayWith(() => {
    throw new RangeError("too deep");
  });
  const got: unknown[] = [];
  device.on("message", (data) => got.push(data));
  const left = Promise.all([once(client, "close"), once(device, "close")]);
  client.send("a");
  await left;
  expect({ got, broken }).toEqual({ got: [], broken: ["in: too deep"] });
});

test("nothing is judged of what a client had sent when its connection is dropped", async () => {
  const judged: string[] = [];
  const { client, clientStream, toClient } = await relayWith((text) => {
    judged.push(text);
    return { onward: text };
  });
  toClient.pause();
  client.send("move");
  await expect.poll(() => clientStream.readableLength).toBeGreaterThan(0);
  const left = once(toClient, "close");
  clientStream.destroy();
  await left;
  expect(judged).toEqual([]);
});

test("a device that does not read is not sent ever more, though refusals are told in between", { timeout: 60_000 }, async () => {
  let most = 0;
  const world = await relayWith((text) => {
    most = Math.max(most, world.toDevice.bufferedAmount);
    return text === "refuse" ? { back: ["refused"] } : { onward: text };
  });
  const { client, device, toClient } = world;
  device.pause();
  for (let count = 0; count < 300; count += 1) {
    client.send("x".repeat(100_000));
    client.send("refuse");
  }
  await expect.poll(() => toClient.isPaused).toBe(true);
  for (let turn = 0; turn < 100; turn += 1) {
    const isHeard = heardBy(client, `turn ${turn}`);
    toClient.send(`turn ${turn}`); // what was sent before has gone when it comes
    await isHeard;
  }
  expect(most).toBeLessThan(2 * 1024 ** 2);
  expect(toClient.isPaused).toBe(true);
  const isOver = heardBy(device, "last");
  client.send("last");
  device.resume();
  await isOver; // it goes on when the device reads again
});
