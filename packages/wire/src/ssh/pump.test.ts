import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { onOrderlyEnd } from "@hardshare/runtime/sockets";
import { afterEach, expect, test } from "vitest";
import { PUMP_BYTES, PUMP_CHUNKS } from "./limits.ts";
import { pump } from "./pump.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Both ends of a TCP connection. */
async function makePair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  servers.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [accepted] = (await once(server, "connection")) as [Socket];
  await once(client, "connect");
  return [client, accepted];
}

/** How a connection ends, as its peer meant it. */
function outcomeOf(socket: Socket): Promise<"reset" | "end"> {
  return new Promise((resolve) => {
    onOrderlyEnd(socket.resume(), () => resolve("end"));
    socket.once("error", () => resolve("reset"));
  });
}

test("the end of one way leaves the other way open, and both streams close after both ends", async () => {
  const [user, near] = await makePair();
  const [far, device] = await makePair();
  const done = pump(near, far);
  user.end("request");
  expect(String(await once(device, "data").then(([data]) => data))).toBe("request");
  await once(device, "end");
  device.end("answer after the end of the request");
  expect(String(await once(user, "data").then(([data]) => data))).toBe("answer after the end of the request");
  await done;
  expect(near.destroyed && far.destroyed).toBe(true);
});

test("a reset of one side reaches the other as a reset, not as an orderly end", async () => {
  const [user, near] = await makePair();
  const [far, device] = await makePair();
  const done = pump(near, far);
  device.resetAndDestroy();
  const [error] = (await once(user, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNRESET");
  await done;
});

test("a reset that comes with bytes, which Node takes for an end, is one for the other side too", async () => {
  for (let count = 0; count < 20; count += 1) {
    const [user, near] = await makePair();
    const [far, device] = await makePair();
    const done = pump(near, far);
    user.write("half a messa");
    user.resetAndDestroy();
    expect(await outcomeOf(device)).toBe("reset");
    await done;
  }
});

test("all bytes arrive before the end when the sender closes at once", async () => {
  const [user, near] = await makePair();
  const [far, device] = await makePair();
  void pump(near, far);
  const bytes = Buffer.alloc(5_000_000, "x");
  device.end(bytes);
  let received = 0;
  for await (const chunk of user) received += (chunk as Buffer).length;
  expect(received).toBe(bytes.length);
});

test("nothing more is read while as much as may wait for the other stream waits", async () => {
  const chunkBytes = 1000;
  const slow = new Duplex({ read() {}, write() {} }); // takes the first chunk and never says that it is done
  let readBytes = 0;
  const source = new Duplex({
    readableHighWaterMark: 1,
    read() {
      readBytes += chunkBytes;
      // As a socket does, whose chunks come in turns of their own.
      setImmediate(() => this.push(Buffer.alloc(chunkBytes)));
    },
    write: (_chunk, _encoding, done) => done(),
  });
  void pump(source, slow);
  await once(source, "pause");
  expect(slow.writableLength).toBeGreaterThan(PUMP_BYTES);
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  expect(slow.writableLength).toBeLessThanOrEqual(PUMP_BYTES + 2 * chunkBytes);
  expect(readBytes).toBeLessThanOrEqual(PUMP_BYTES + 4 * chunkBytes);
  source.destroy();
});

test("reading goes on when the other stream has taken what waited", async () => {
  const [user, near] = await makePair();
  const taken: (() => void)[] = [];
  let takenBytes = 0;
  const slow = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      takenBytes += chunk.length;
      taken.push(done);
    },
  });
  void pump(near, slow);
  const bytes = Buffer.alloc(4 * PUMP_BYTES);
  user.write(bytes);
  await once(near, "pause");
  const takeAll = () => {
    for (const done of taken.splice(0)) done();
    if (takenBytes < bytes.length) setImmediate(takeAll);
  };
  const finished = once(slow, "finish");
  user.end();
  takeAll();
  await finished;
  expect(takenBytes).toBe(bytes.length);
  near.destroy();
});

test("a stream that was closed before takes the other with it", async () => {
  const [, near] = await makePair();
  const [far, device] = await makePair();
  near.destroy();
  await once(near, "close");
  const reset = once(device, "error");
  await pump(near, far);
  await reset;
});

test("single bytes that wait for a stalled stream take no more memory than is stated", async () => {
  const slow = new Duplex({ read() {}, write() {} });
  const source = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  void pump(source, slow);
  let count = 0;
  const packet = Buffer.alloc(PUMP_BYTES);
  while (!source.isPaused()) {
    source.push(packet.subarray(0, 1)); // part of a packet that is to be freed
    count += 1;
    await new Promise(setImmediate);
  }
  expect(count).toBeLessThanOrEqual(PUMP_CHUNKS + 1);
  source.destroy();
});

test("many small chunks all arrive, and in their order", async () => {
  const [user, near] = await makePair();
  const [far, device] = await makePair();
  void pump(near, far);
  const sent = Array.from({ length: 20 * PUMP_CHUNKS }, (_, index) => `${index}\n`);
  const received = text(device);
  for (const [index, line] of sent.entries()) {
    user.write(line);
    if (index % 50 === 0) await new Promise(setImmediate);
  }
  user.end();
  expect(await received).toBe(sent.join(""));
});
