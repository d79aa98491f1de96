import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Server } from "node:net";
import { text } from "node:stream/consumers";
import { silentLogger, systemClock } from "@hardshare/runtime";
import { describe, expect, test } from "vitest";
import { parseHttpRules } from "../rules/http-rules.ts";
import { fixedRules } from "../rules/live-rules.ts";
import { ask, makeLimits, startFilter, startWorld } from "../testing/filter-world.ts";
import { RawClient } from "../testing/raw-client.ts";
import { startRecordingDevice } from "../testing/recording-device.ts";
import { startHttpFilter } from "./http-filter.ts";

const HOST = "Host: example\r\n";

describe("an allowed request", () => {
  test("reaches the device written anew: end-to-end headers as they were, host and framing its own", async () => {
    await using world = await startWorld();
    using client = new RawClient(world.filter.address);
    await client.send(
      `POST /api/Move;v=1?Speed=3&x=%2e HTTP/1.1\r\n${HOST}X-Token:  a \u00e9\t\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n` +
        `TE: trailers\r\nProxy-Connection: keep-alive\r\nAccept: */*\r\naccept: text/html\r\nContent-Length: 0003\r\n\r\nabc`,
    );
    expect(await client.receive("abc")).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(world.device.connections[0]?.bytes).toBe(
      `POST /api/Move;v=1?Speed=3&x=%2e HTTP/1.1\r\nHost: 127.0.0.1:${world.device.port}\r\nX-Token: a \u00e9\r\nAccept: */*\r\naccept: text/html\r\n` +
        "Content-Length: 3\r\nConnection: close\r\n\r\nabc",
    );
    expect(world.decisions).toMatchObject([{ rule: "default", decision: "allow", summary: "POST /api/Move;v=1?Speed=3&x=%2e" }]);
  });

  test("arrives whole, wherever it is cut in two", async () => {
    await using world = await startWorld();
    const message = `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n`;
    using client = new RawClient(world.filter.address);
    for (let cut = 1; cut < message.length; cut += 1) {
      await client.send(message.slice(0, cut));
      await client.send(message.slice(cut));
      await client.receive("HTTP/1.1 200", cut);
    }
    expect(world.device.requests).toEqual(Array.from({ length: message.length - 1 }, () => "POST /a abc\r\n\r\n"));
  });

  test.each(["GET", "DELETE", "OPTIONS", "PUT", "PATCH", "POST", "PROPFIND"])("%s without a body is framed as one", async (method) => {
    await using world = await startWorld();
    using client = new RawClient(world.filter.address);
    await client.send(`${method} /a HTTP/1.1\r\n${HOST}\r\n${method} /b HTTP/1.1\r\n${HOST}\r\n`);
    await client.receive("HTTP/1.1 200", 2);
    expect(world.device.requests).toEqual([`${method} /a `, `${method} /b `]);
    expect(world.device.connections[0]?.bytes).not.toMatch(/transfer-encoding|close/i);
  });

  test("HEAD is answered with the length and no body", async () => {
    await using world = await startWorld(undefined, (_request, response) => {
      response.writeHead(200, { "Content-Length": "42" }).end();
    });
    const { answered } = ask(world.filter, "HEAD", "/a");
    const answer = await answered;
    expect(answer.headers["content-length"]).toBe("42");
    expect(await text(answer)).toBe("");
  });

  test("of HTTP/1.0 is answered without chunks, and the connection closed", async () => {
    await using world = await startWorld(undefined, (_request, response) => {
      response.write("one ");
      response.end("two");
    });
    using client = new RawClient(world.filter.address);
    await client.send("GET /a HTTP/1.0\r\n\r\n");
    const answer = await client.ended;
    expect(answer).toMatch(/\r\n\r\none two$/);
    expect(answer).not.toMatch(/chunked/i);
  });

  test("waits for 100 Continue of the device", async () => {
    await using device = await startRecordingDevice((request, response) => void request.pipe(response));
    let sawHeadOnly = false;
    device.server.on("checkContinue", (request, response) => {
      sawHeadOnly = !(device.connections[0]?.bytes ?? "").includes("body");
      response.writeContinue();
      request.pipe(response);
    });
    await using world = await startFilter({ host: "127.0.0.1", port: device.port });
    using client = new RawClient(world.filter.address);
    await client.send(`POST /a HTTP/1.1\r\n${HOST}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n`);
    expect(await client.receive("\r\n\r\n")).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    await client.send("body");
    expect(await client.receive("body")).toMatch(/HTTP\/1\.1 200 OK/);
    expect(sawHeadOnly).toBe(true);
  });

  test("that the device answers without wanting the body ends the connection after the answer", async () => {
    await using device = await startRecordingDevice();
    device.server.on("checkContinue", (_request, response) => response.writeHead(413, { "Content-Length": "8" }).end("too much"));
    await using world = await startFilter({ host: "127.0.0.1", port: device.port });
    using client = new RawClient(world.filter.address);
    await client.send(`POST /a HTTP/1.1\r\n${HOST}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n`);
    expect(await client.ended).toMatch(/^HTTP\/1\.1 413 [^]*too much$/);
  });
});

test("the device's answer passes as it is, but for hop-by-hop headers", async () => {
  await using world = await startWorld(undefined, (_request, response) => {
    response.sendDate = false;
    response.writeHead(418, "Short and stout", [
      ["X-Robot", "caf\u00e9"],
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=2"],
      ["Connection", "X-Hop, close"],
      ["X-Hop", "1"],
      ["Content-Length", "3"],
    ]);
    response.end(Buffer.from("tea")); // a string would turn the header into UTF-8
  });
  using client = new RawClient(world.filter.address);
  await client.send(`GET /a HTTP/1.1\r\n${HOST}\r\n`);
  expect(await client.receive("tea")).toBe(
    "HTTP/1.1 418 Short and stout\r\nX-Robot: caf\u00e9\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 3\r\n" +
      "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\ntea",
  );
});

test("requests of one connection reach the device in order, those without a body by one connection", async () => {
  await using world = await startWorld();
  using client = new RawClient(world.filter.address);
  const get = (path: string) => `GET /${path} HTTP/1.1\r\n${HOST}\r\n`;
  const post = (body: string) => `POST /a HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n\r\n${body}`;
  await client.send(get("1") + get("2") + post("first") + post("second"));
  const answers = await client.receive("second");
  expect(answers.indexOf("first")).toBeLessThan(answers.indexOf("second"));
  await client.send(get("3") + post("third"));
  await client.receive("third");
  expect(world.device.requests).toEqual(["GET /1 ", "GET /2 ", "POST /a first", "POST /a second", "GET /3 ", "POST /a third"]);
  expect(world.device.connections).toHaveLength(3);
});

test("a connection to the device is never used for two clients, and ends with its client", async () => {
  await using world = await startWorld();
  const get = `GET /a HTTP/1.1\r\n${HOST}\r\n`;
  using one = new RawClient(world.filter.address);
  using two = new RawClient(world.filter.address);
  await one.send(get);
  await one.receive("200 OK");
  await two.send(get);
  await two.receive("200 OK");
  expect(world.device.connections).toHaveLength(2);
  one.socket.destroy();
  await world.device.connections[0]?.closed;
  expect(world.device.connections[1]?.isOpen).toBe(true);
});

test("a client that leaves ends the device's work for it at once", async () => {
  let atDevice = () => {};
  const arrived = new Promise<void>((resolve) => (atDevice = resolve));
  await using world = await startWorld(undefined, () => atDevice()); // never answers
  using client = new RawClient(world.filter.address);
  await client.send(`GET /a HTTP/1.1\r\n${HOST}\r\n`);
  await arrived;
  client.socket.resetAndDestroy();
  await world.device.connections[0]?.closed;
});

test("a port in use is named", async () => {
  await using world = await startWorld();
  const port = Number(world.filter.address.split(":")[1]);
  const options = {
    device: { host: "127.0.0.1", port: 1 },
    rules: fixedRules(parseHttpRules("", "f", makeLimits())),
    onDecision: () => {},
    clock: systemClock,
    logger: silentLogger,
  };
  await expect(startHttpFilter({ ...options, host: "127.0.0.1", port })).rejects.toMatchObject({ code: "port_in_use" });
});

test("a connection that can't be accepted does not end the filter", async () => {
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
  const device = { host: "127.0.0.1", port: 1 };
  const rules = fixedRules(parseHttpRules("default: block", "test.yaml", makeLimits()));
  await using filter = await startHttpFilter({
    host: "127.0.0.1",
    port: 0,
    device,
    rules,
    onDecision: () => {},
    clock: systemClock,
    logger,
  });
  const accepted = new Promise<Server>((resolve) => {
    subscribe("net.server.socket", function onSocket(message) {
      unsubscribe("net.server.socket", onSocket);
      resolve((message as { socket: { server: Server } }).socket.server);
    });
  });
  using client = new RawClient(filter.address);
  (await accepted).emit("error", new Error("accept EMFILE"));
  expect(warnings).toEqual(["a connection was not accepted"]);
  await client.send(`GET /a HTTP/1.1\r\n${HOST}\r\n`);
  expect(await client.ended).toMatch(/^HTTP\/1\.1 403 /);
});
