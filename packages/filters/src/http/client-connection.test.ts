import type { RequestListener } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { ManualClock } from "@hardshare/runtime";
import { describe, expect, test } from "vitest";
import { startFilter, startWorld } from "../testing/filter-world.ts";
import { RawClient } from "../testing/raw-client.ts";
import { startRecordingDevice } from "../testing/recording-device.ts";
import { HEAD_TIMEOUT_MS, IDLE_TIMEOUT_MS } from "./client-connection.ts";

const HOST = "Host: robot\r\n";
const get = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`;

describe("time", () => {
  /** A clock that tells when the time for a head has been set. */
  class WatchedClock extends ManualClock {
    #arm = () => {};
    readonly armed = new Promise<void>((resolve) => (this.#arm = resolve));

    override after(delayMs: number, run: () => void): Disposable {
      if (delayMs === HEAD_TIMEOUT_MS) this.#arm();
      return super.after(delayMs, run);
    }
  }

  async function startTimed(answer?: RequestListener) {
    const device = await startRecordingDevice(answer);
    const clock = new WatchedClock();
    const world = await startFilter({ host: "127.0.0.1", port: device.port }, undefined, clock);
    return {
      clock,
      device,
      world,
      client: () => new RawClient(world.filter.address),
      async [Symbol.asyncDispose]() {
        await world[Symbol.asyncDispose]();
        await device[Symbol.asyncDispose]();
      },
    };
  }

  test("a client that says nothing is told 408 after 30 s", async () => {
    await using timed = await startTimed();
    using client = timed.client();
    await timed.clock.armed;
    timed.clock.advance(HEAD_TIMEOUT_MS);
    expect(await client.ended).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n[^]*did not come within 30 s/);
    expect(timed.world.decisions).toMatchObject([{ decision: "block", summary: "malformed request" }]);
  });

  test("a client that begins a request and does not go on is told 408, after the answer before", async () => {
    await using timed = await startTimed();
    using client = timed.client();
    await client.send(`${get("/a")}GET /b HT`);
    await client.receive("200 OK");
    timed.clock.advance(HEAD_TIMEOUT_MS);
    expect(await client.ended).toMatch(/^HTTP\/1\.1 200 OK[^]*HTTP\/1\.1 408 /);
    expect(timed.device.requests).toEqual(["GET /a "]);
  });

  test("a connection without a request is closed after a minute, and not before", async () => {
    await using timed = await startTimed();
    using client = timed.client();
    await client.send(get("/a"));
    await client.receive("200 OK");
    timed.clock.advance(IDLE_TIMEOUT_MS - 1);
    await client.send(get("/b"));
    const heard = await client.receive("200 OK", 2);
    timed.clock.advance(IDLE_TIMEOUT_MS - 1);
    timed.clock.advance(1);
    expect(await client.ended).toBe(heard);
  });

  test("blank lines do not keep a connection open", async () => {
    await using timed = await startTimed();
    using client = timed.client();
    await client.send(get("/a"));
    const heard = await client.receive("200 OK");
    timed.clock.advance(IDLE_TIMEOUT_MS - 1);
    await client.send("\r\n");
    await new Promise((resolve) => setImmediate(resolve));
    timed.clock.advance(1);
    expect(await client.ended).toBe(heard);
  });

  test("neither a device nor a body has to be done within a time", async () => {
    let finish = () => {};
    await using timed = await startTimed((request, response) => void (finish = () => void request.pipe(response)));
    using client = timed.client();
    const asked = new Promise<void>((resolve) => timed.device.server.once("request", () => resolve()));
    await client.send(`POST /a HTTP/1.1\r\n${HOST}Content-Length: 4\r\n\r\nab`);
    await asked;
    timed.clock.advance(24 * 3_600_000);
    finish();
    await client.send("cd");
    expect(await client.receive("cd")).toMatch(/^HTTP\/1\.1 200 /);
  });
});

describe("an answer", () => {
  /** The answer to this request of a device that writes these bytes. */
  async function answerTo(request: string, fromDevice: string, until?: string): Promise<string> {
    const server = createServer((socket) => socket.on("error", () => {}).on("data", () => socket.write(fromDevice, "latin1")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await using world = await startFilter({ host: "127.0.0.1", port: (server.address() as AddressInfo).port });
    using client = new RawClient(world.filter.address);
    await client.send(request);
    const heard = until === undefined ? await client.ended : await client.receive(until);
    server.close();
    return heard;
  }

  const KEPT = "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n";
  const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  const LENGTH = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";

  test.each([
    [
      "without a length is sent in chunks",
      get("/"),
      CHUNKED,
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${KEPT}3\r\nabc\r\n0\r\n\r\n`,
    ],
    ["with a length is sent so", get("/"), LENGTH, `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n${KEPT}abc`],
    ["204 has no body", get("/"), "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", `HTTP/1.1 204 No Content\r\nX: y\r\n${KEPT}`],
    [
      "304 has no body, whatever its length says",
      get("/"),
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n",
      `HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n${KEPT}`,
    ],
    [
      "to HEAD has no body, nor chunks",
      get("/").replace("GET", "HEAD"),
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      `HTTP/1.1 200 OK\r\n${KEPT}`,
    ],
    [
      "to HTTP/1.0 with a length leaves the connection open for who asks for it",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      LENGTH,
      `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n${KEPT}abc`,
    ],
  ])("%s, and the connection goes on", async (_name, request, fromDevice, expected) => {
    const heard = await answerTo(request + get("/next"), fromDevice, `${expected}HTTP/1.1`);
    expect(heard.startsWith(expected)).toBe(true);
  });

  test.each([
    ["to HTTP/1.0 ends with the connection", "GET / HTTP/1.0\r\n\r\n", CHUNKED, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"],
    [
      "to HTTP/1.0 without a length ends with the connection, even when it should stay open",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      CHUNKED,
      "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc",
    ],
    [
      "to Connection: close is the last",
      get("/", "Connection: close\r\n") + get("/next"),
      LENGTH,
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    ],
    [
      "that comes in place of 100 Continue is the last",
      `POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`,
      LENGTH,
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    ],
  ])("%s", async (_name, request, fromDevice, expected) => {
    expect(await answerTo(request, fromDevice)).toBe(expected);
  });

  test("whose status line holds control characters does not pass", async () => {
    expect(await answerTo(get("/"), "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n")).toMatch(/^HTTP\/1\.1 502 /);
  });

  test("begins as soon as its head is there", async () => {
    const head = `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n${KEPT}`;
    expect(await answerTo(get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", head)).toBe(head);
  });
});

describe("a client that half closes", () => {
  test("while it waits for an answer has left", async () => {
    await using world = await startWorld(undefined, () => {}); // never answers
    const asked = new Promise<void>((resolve) => world.device.server.once("request", () => resolve()));
    using client = new RawClient(world.filter.address);
    await client.send(get("/a"));
    await asked;
    client.socket.end();
    expect(await client.ended).toBe("");
    await world.device.connections[0]?.closed;
  });

  test.each([
    ["in a head", "GET /a HT", []],
    ["in a body", `POST /a HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nab`, ["allow"]],
  ])("%s is told 400", async (_name, bytes, before) => {
    await using world = await startWorld();
    using client = new RawClient(world.filter.address);
    client.socket.end(bytes);
    expect(await client.ended).toMatch(/^HTTP\/1\.1 400 /);
    expect(world.decisions.map(({ decision }) => decision)).toEqual([...before, "block"]);
    expect(world.device.requests).toEqual([]);
  });
});

describe("what a client sends ahead", () => {
  const MEGABYTE = "x".repeat(1024 * 1024);
  /** More than all buffers on the way take. */
  const MOST_MEGABYTES = 50;

  /** How many writes of a megabyte are taken over until one stays pending. */
  async function fill(client: RawClient): Promise<number> {
    for (let taken = 0; ; taken += 1) {
      const writing = client.send(MEGABYTE).then(() => true);
      const isTaken = await Promise.race([writing, new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 500))]);
      if (!isTaken || taken === MOST_MEGABYTES) return taken;
    }
  }

  test("of a body is not read before the request before it has been answered", async () => {
    let answer = () => {};
    await using world = await startWorld(undefined, (request, response) => {
      if (request.url === "/slow") answer = () => void response.end("slow");
      else request.resume().on("end", () => response.end("body"));
    });
    const asked = new Promise<void>((resolve) => world.device.server.once("request", () => resolve()));
    using client = new RawClient(world.filter.address);
    await client.send(get("/slow") + `POST /a HTTP/1.1\r\n${HOST}Content-Length: ${100 * MEGABYTE.length}\r\n\r\n`);
    await asked;
    expect(await fill(client)).toBeLessThan(MOST_MEGABYTES);
    answer();
    await client.receive("slow");
    const next = await new Promise<string>((resolve) => world.device.server.once("request", ({ url = "" }) => resolve(url)));
    expect(next).toBe("/a");
  });

  test("is not read while it does not read its answers", async () => {
    await using world = await startWorld(undefined, (_request, response) => void response.end("y".repeat(20 * MEGABYTE.length)));
    using client = new RawClient(world.filter.address);
    client.socket.pause();
    const asked = new Promise<void>((resolve) => world.device.server.once("request", () => resolve()));
    await client.send(get("/a"));
    await asked;
    await client.send(`POST /b HTTP/1.1\r\n${HOST}Content-Length: ${100 * MEGABYTE.length}\r\n\r\n`);
    expect(await fill(client)).toBeLessThan(MOST_MEGABYTES);
  });
});
