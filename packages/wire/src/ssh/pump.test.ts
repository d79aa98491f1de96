import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { afterEach, expect, test } from "vitest";
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

test("nothing more is read while the other stream has not taken the last chunk", async () => {
  const taken: (() => void)[] = [];
  const slow = new Duplex({ read() {}, write: (_chunk, _encoding, done) => void taken.push(done) });
  let reads = 0;
  const source = new Duplex({
    readableHighWaterMark: 1,
    read() {
      reads += 1;
      this.push(Buffer.alloc(1000));
    },
    write: (_chunk, _encoding, done) => done(),
  });
  void pump(source, slow);
  await new Promise(setImmediate);
  expect(taken.length).toBe(1);
  const readsWhileStalled = reads;
  await new Promise(setImmediate);
  expect(reads).toBe(readsWhileStalled);
  expect(reads).toBeLessThanOrEqual(3);
  source.destroy();
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
