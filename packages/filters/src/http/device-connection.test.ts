import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { ManualClock } from "@hardshare/runtime";
import { describe, expect, test } from "vitest";
import { ask, startFilter, startWorld } from "../testing/filter-world.ts";
import { RawClient } from "../testing/raw-client.ts";
import { startRecordingDevice } from "../testing/recording-device.ts";
import { CONNECT_TIMEOUT_MS } from "./device-link.ts";

const HOST = "Host: example\r\n";

describe("a large body", () => {
  const MEGABYTE = Buffer.alloc(1024 * 1024, "0123456789abcdef");
  const SIZE_MB = 50;

  function* megabytes() {
    for (let sent = 0; sent < SIZE_MB; sent += 1) yield MEGABYTE;
  }

  async function digest(stream: Readable): Promise<string> {
    const hash = createHash("sha256");
    await pipeline(stream, hash);
    return hash.digest("hex");
  }

  test.each([
    ["with a length", { "Content-Length": String(SIZE_MB * MEGABYTE.length) }],
    ["in chunks", {}],
  ])("streams %s to the device and back, equal in every byte", async (_name, headers: Record<string, string>) => {
    await using world = await startWorld(undefined, (request, response) => void request.pipe(response));
    const { answered, sent } = ask(world.filter, "POST", "/echo", Readable.from(megabytes()), headers);
    const [echoed] = await Promise.all([digest(await answered), sent]);
    expect(echoed).toBe(await digest(Readable.from(megabytes())));
  });

  test("stops at the client when the device does not read", async () => {
    await using device = await startDeafDevice();
    await using world = await startFilter({ host: "127.0.0.1", port: device.port });
    using client = new RawClient(world.filter.address);
    await client.send(`POST /a HTTP/1.1\r\n${HOST}Content-Length: 1000000000\r\n\r\n`);
    let taken = 0;
    // Every write is taken over until all buffers between client and device are full: then one stays pending.
    for (;;) {
      const writing = new Promise<boolean>((resolve) => client.socket.write(MEGABYTE, () => resolve(true)));
      const isTaken = await Promise.race([writing, new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 500))]);
      if (!isTaken) break;
      taken += 1;
      expect(taken).toBeLessThan(SIZE_MB);
    }
  });

  test("stops at the device when the client does not read", async () => {
    let written = 0;
    let stalled = () => {};
    const hasStalled = new Promise<void>((resolve) => (stalled = resolve));
    await using world = await startWorld(undefined, (_request, response) => {
      const push = () => {
        while (written < 1000 && response.write(MEGABYTE)) written += 1;
        const timer = setTimeout(stalled, 500);
        response.once("drain", () => {
          clearTimeout(timer);
          written += 1;
          push();
        });
      };
      push();
    });
    using client = new RawClient(world.filter.address);
    client.socket.pause();
    await client.send(`GET /a HTTP/1.1\r\n${HOST}\r\n`);
    await hasStalled;
    expect(written).toBeLessThan(SIZE_MB);
  });
});

/** A device that accepts connections and reads nothing. */
async function startDeafDevice() {
  const server = createServer({ pauseOnConnect: true });
  const sockets: { destroy(): void }[] = [];
  server.on("connection", (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("a device that fails", () => {
  /** A device that answers the first bytes of each connection with these, then closes. */
  async function startRawDevice(answer: string) {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(Buffer.from(answer, "latin1")));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    return {
      port: typeof address === "object" && address !== null ? address.port : 0,
      async [Symbol.asyncDispose]() {
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }

  async function askOnce(port: number): Promise<string> {
    await using world = await startFilter({ host: "127.0.0.1", port });
    using client = new RawClient(world.filter.address);
    await client.send(`GET /a HTTP/1.1\r\n${HOST}\r\n`);
    return await client.ended;
  }

  test("by being away gives 502 with the cause", async () => {
    const gone = await startRawDevice("");
    await gone[Symbol.asyncDispose]();
    expect(await askOnce(gone.port)).toMatch(
      /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*"error":"device unreachable","because":"[^"]*ECONNREFUSED/,
    );
  });

  test.each([
    ["closing without an answer", ""],
    ["an answer that is no HTTP", "ok\r\n"],
    ["an answer with both framings", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["an upgrade nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
  ])("by %s gives 502", async (_name, answer) => {
    await using device = await startRawDevice(answer);
    expect(await askOnce(device.port)).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/);
  });

  test("in the middle of an answer ends the client's connection before the answer's end", async () => {
    await using device = await startRawDevice("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    expect(await askOnce(device.port)).toMatch(/^HTTP\/1\.1 200 OK\r\nContent-Length: 10\r\n[^]*\r\n\r\n(half)?$/);
  });

  test("with an answer that ends with its connection still gives the whole answer", async () => {
    await using device = await startRawDevice("HTTP/1.0 200 OK\r\n\r\nall there is");
    await using world = await startFilter({ host: "127.0.0.1", port: device.port });
    const { answered } = ask(world.filter, "GET", "/a");
    expect(await text(await answered)).toBe("all there is");
  });

  test("by not accepting the connection in time gives 504", async () => {
    await using device = await startStoppedDevice();
    const clock = new WatchedClock();
    await using world = await startFilter({ host: "127.0.0.1", port: device.port }, undefined, clock);
    using client = new RawClient(world.filter.address);
    await client.send(`GET /a HTTP/1.1\r\n${HOST}\r\n`);
    await clock.armed;
    clock.advance(CONNECT_TIMEOUT_MS);
    expect(await client.ended).toMatch(/^HTTP\/1\.1 504 Gateway Timeout\r\n[^]*"error":"device timed out","because":"[^"]*within 5 s/);
  });

  /** A clock that tells when the time for the connection has been set. */
  class WatchedClock extends ManualClock {
    #arm = () => {};
    readonly armed = new Promise<void>((resolve) => (this.#arm = resolve));

    override after(delayMs: number, run: () => void): Disposable {
      if (delayMs === CONNECT_TIMEOUT_MS) this.#arm();
      return super.after(delayMs, run);
    }
  }

  /** A listening process that is stopped and whose queue of connections is full: the system lets new ones wait. */
  async function startStoppedDevice() {
    const program = `require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () { console.log(this.address().port) })`;
    const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const port = Number(line.toString());
    child.kill("SIGSTOP");
    // Linux queues one more than the backlog.
    const waiting = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
    for (const socket of waiting)
      await once(
        socket.on("error", () => {}),
        "connect",
      );
    return {
      port,
      async [Symbol.asyncDispose]() {
        for (const socket of waiting) socket.destroy();
        child.kill("SIGKILL");
        await once(child, "exit");
      },
    };
  }
});

describe("an idle connection to the device", () => {
  test.each([
    ["says nothing of it", undefined, 2000],
    ["keeps it for 1 s", "timeout=1, max=100", 500],
    ["keeps it for long", "timeout=60", 2000],
  ])("is closed in time when the device %s", async (_name, hint, idleMs) => {
    await using device = await startRecordingDevice((_request, response) => {
      response.shouldKeepAlive = true;
      if (hint !== undefined) response.setHeader("Connection", "keep-alive").setHeader("Keep-Alive", hint);
      response.end("ok");
    });
    device.server.keepAliveTimeout = 0;
    const clock = new ManualClock();
    await using world = await startFilter({ host: "127.0.0.1", port: device.port }, undefined, clock);
    using client = new RawClient(world.filter.address);
    const get = `GET /a HTTP/1.1\r\n${HOST}\r\n`;
    await client.send(get);
    await client.receive("200 OK");
    clock.advance(idleMs - 1);
    await client.send(get);
    await client.receive("200 OK", 2);
    expect(device.connections).toHaveLength(1);
    clock.advance(idleMs);
    await device.connections[0]?.closed;
  });
});

describe("a device that answers without having read the body", () => {
  /** Like many small servers: what it did not read of a body, it reads as the next request, unless told that none comes. */
  async function startCarelessDevice() {
    const seen: string[] = [];
    const server = createServer((socket) => {
      socket.on("error", () => {});
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
        for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
          const head = text.slice(0, end);
          text = text.slice(end + 4);
          seen.push(head.split("\r\n", 1)[0] ?? "");
          socket.write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
          if (/^connection: close$/im.test(head)) return void socket.end();
        }
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    return { port, seen, [Symbol.dispose]: () => void server.close() };
  }

  test.each(["POST", "DELETE", "OPTIONS"])("is given no second request hidden in the body of a %s", async (method) => {
    using device = await startCarelessDevice();
    await using world = await startFilter({ host: "127.0.0.1", port: device.port }, `rules: [{ allow: "* /a" }]`);
    const hidden = `POST /api/reboot HTTP/1.1\r\n${HOST}\r\n`;
    using client = new RawClient(world.filter.address);
    await client.send(
      `${method} /a HTTP/1.1\r\n${HOST}Content-Length: ${hidden.length}\r\n\r\n${hidden}GET /a HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`,
    );
    expect((await client.ended).match(/404 Not Found/g)).toHaveLength(2);
    expect(device.seen).toEqual([`${method} /a HTTP/1.1`, "GET /a HTTP/1.1"]);
  });
});
