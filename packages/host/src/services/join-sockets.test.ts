import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { onOrderlyEnd } from "@hardshare/runtime/sockets";
import { afterEach, expect, test } from "vitest";
import { joinSockets } from "./join-sockets.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Both ends of a connection. */
async function makePair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  servers.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  const [accepted] = (await once(server, "connection")) as [Socket];
  return [client, accepted];
}

/** All that comes until the end; the other way stays as it is. */
async function readAll(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, "end");
  return text;
}

test("all bytes arrive both ways, each way's end after them", async () => {
  const [program, near] = await makePair();
  const [far, service] = await makePair();
  joinSockets(near, far);
  const bytes = "x".repeat(3_000_000);
  program.end(bytes);
  expect(await readAll(service)).toBe(bytes);
  service.end(bytes);
  expect(await readAll(program)).toBe(bytes);
});

test("a reset of one side is a reset of the other", async () => {
  const [program, near] = await makePair();
  const [far, service] = await makePair();
  joinSockets(near, far);
  service.resetAndDestroy();
  const [error] = (await once(program, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNRESET");
});

test("a reset that comes with bytes, which Node takes for an end, is one for the other too", async () => {
  for (let count = 0; count < 20; count += 1) {
    const [program, near] = await makePair();
    const [far, service] = await makePair();
    joinSockets(near, far);
    program.write("half a messa");
    program.resetAndDestroy();
    const outcome = new Promise((resolve) => {
      onOrderlyEnd(service.resume(), () => resolve("end"));
      service.once("error", () => resolve("reset"));
    });
    expect(await outcome).toBe("reset");
  }
});

test("no more is read from one socket than the other takes, neither bytes nor chunks of one byte", async () => {
  for (const chunkBytes of [1, 65_536]) {
    const from = new Socket();
    const to = new Socket();
    let taken = 0;
    to._write = () => {}; // takes the first chunk and never says that it is done
    joinSockets(from, to);
    from._read = () => {};
    for (; !from.isPaused(); taken += 1) {
      from.push(Buffer.alloc(chunkBytes));
      await new Promise(setImmediate);
    }
    expect(taken).toBeLessThanOrEqual(257);
    from.destroy();
    to.destroy();
  }
});
