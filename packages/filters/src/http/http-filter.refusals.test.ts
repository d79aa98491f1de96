import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type FilterWorld, startWorld as startWorldWith } from "../testing/filter-world.ts";
import { RawClient } from "../testing/raw-client.ts";

/** Lets everything through that is not refused by name: what comes through here would come through anywhere. */
const LENIENT = "default: allow\nrules:\n  - block: POST /reboot\n    because: only the owner reboots this robot\n";

const startWorld = (rules = LENIENT) => startWorldWith(rules);

/** Sends the pieces one by one, and reads until the filter closes; ends the client's side when the filter has ended its own. */
async function exchange(world: FilterWorld, pieces: string[]): Promise<string> {
  using client = new RawClient(world.filter.address);
  for (const piece of pieces) {
    await client.send(piece);
    await nextTurn();
  }
  return await client.ended;
}

function bytesAtDevice(world: FilterWorld): string {
  return world.device.connections.map((connection) => connection.bytes).join("");
}

const REBOOT = "POST /reboot HTTP/1.1\r\nHost: robot\r\nContent-Length: 4\r\n\r\n{}\r\n";
const CHUNKED_REBOOT = "POST /reboot HTTP/1.1\r\nHost: robot\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";

test("a refused request is answered 403 with rule and reason, and does not reach the device", async () => {
  await using world = await startWorld();
  const answer = await exchange(world, [REBOOT]);
  expect(answer).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
  expect(answer).toMatch(/\r\nconnection: close\r\n/);
  expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toEqual({
    error: "refused by filter",
    rule: "POST /reboot",
    because: "only the owner reboots this robot",
  });
  expect(world.device.connections).toEqual([]);
  expect(world.decisions).toEqual([
    {
      direction: "in",
      mode: "enforce",
      rule: "POST /reboot",
      decision: "block",
      summary: "POST /reboot",
      because: "only the owner reboots this robot",
      message: { method: "POST", path: "/reboot", query: {} },
    },
  ]);
});

test("the answer to a refused HEAD request has no body", async () => {
  await using world = await startWorld("default: block");
  expect(await exchange(world, ["HEAD /a HTTP/1.1\r\nHost: robot\r\n\r\n"])).toMatch(/^HTTP\/1\.1 403[^{]*\r\n\r\n$/);
});

test("a refused request does not reach the device, wherever it is cut in two", async () => {
  await using world = await startWorld();
  for (const request of [REBOOT, CHUNKED_REBOOT]) {
    for (let cut = 1; cut < request.length; cut += 1) {
      expect(await exchange(world, [request.slice(0, cut), request.slice(cut)])).toMatch(/^HTTP\/1\.1 403/);
    }
  }
  expect(world.device.connections).toEqual([]);
});

test("a refused request does not reach the device byte by byte", async () => {
  await using world = await startWorld();
  expect(await exchange(world, CHUNKED_REBOOT.split(""))).toMatch(/^HTTP\/1\.1 403/);
  expect(world.device.connections).toEqual([]);
});

describe("pipelined", () => {
  const allowed = (body: string) => `POST /drive HTTP/1.1\r\nHost: robot\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

  test("requests before a refused one are answered in order, those after it are not looked at", async () => {
    await using world = await startWorld();
    const answer = await exchange(world, [allowed("one") + allowed("two") + REBOOT + allowed("three")]);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[^]*one[^]*HTTP\/1\.1 200 OK[^]*twoHTTP\/1\.1 403 [^]*only the owner/);
    expect(answer).not.toContain("three");
    expect(world.device.requests).toEqual(["POST /drive one", "POST /drive two"]);
    expect(bytesAtDevice(world)).not.toContain("reboot");
  });

  test("a malformed request is answered after those before it", async () => {
    await using world = await startWorld();
    const answer = await exchange(world, [`${allowed("one")}POST /drive HTTP/1.1\nHost: robot\n\n`]);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[^]*oneHTTP\/1\.1 400 /);
    expect(world.device.requests).toEqual(["POST /drive one"]);
  });

  test("the two cut at every byte end in the same way", async () => {
    await using world = await startWorld();
    const pair = allowed("x") + REBOOT;
    for (let cut = 1; cut < pair.length; cut += 1) {
      expect(await exchange(world, [pair.slice(0, cut), pair.slice(cut)])).toMatch(/^HTTP\/1\.1 200 [^]*xHTTP\/1\.1 403 /);
    }
    expect(world.device.requests).toHaveLength(pair.length - 1);
    expect(bytesAtDevice(world)).not.toContain("reboot");
  });

  test("a client that sends ever more requests ahead is dropped", async () => {
    await using world = await startWorldWith(LENIENT, () => {}); // a device that never answers
    using client = new RawClient(world.filter.address);
    await client.send("GET /a HTTP/1.1\r\nHost: robot\r\n\r\n".repeat(100));
    expect(await client.ended).toBe("");
  });
});

const HOST = "Host: robot\r\n";
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const NO_CHUNKS = "\r\n0\r\n\r\n";

describe("what two parsers could read in two ways is refused with 400", () => {
  test.each([
    ["both framings, length first", `POST /a HTTP/1.1\r\n${HOST}Content-Length: 5\r\n${CHUNKED}${NO_CHUNKS}${REBOOT}`],
    ["both framings, coding first", `POST /a HTTP/1.1\r\n${HOST}${CHUNKED}Content-Length: 5\r\n${NO_CHUNKS}${REBOOT}`],
    ["two equal lengths", `POST /a HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx${REBOOT}`],
    ["two different lengths", `POST /a HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 0\r\n\r\nx${REBOOT}`],
    ["a list of lengths", `POST /a HTTP/1.1\r\n${HOST}Content-Length: 1, 1\r\n\r\nx`],
    ["a length with a sign", `POST /a HTTP/1.1\r\n${HOST}Content-Length: +1\r\n\r\nx`],
    ["a length beyond all numbers", `POST /a HTTP/1.1\r\n${HOST}Content-Length: 99999999999999999999\r\n\r\nx`],
    ["a length beyond what is exact", `POST /a HTTP/1.1\r\n${HOST}Content-Length: 9007199254740993\r\n\r\nx`],
    ["a length by underscore", `POST /a HTTP/1.1\r\n${HOST}Content_Length: 5\r\n\r\n`],
    ["a coding by underscore", `POST /a HTTP/1.1\r\n${HOST}Transfer_Encoding: chunked\r\n\r\n`],
    ["two codings", `POST /a HTTP/1.1\r\n${HOST}${CHUNKED}${CHUNKED}${NO_CHUNKS}`],
    ["a coding before chunked", `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n${NO_CHUNKS}`],
    ["identity after chunked", `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n${NO_CHUNKS}`],
    ["a coding nobody knows", `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n${NO_CHUNKS}`],
    ["a blank in the name of a header", `GET /a HTTP/1.1\r\n${HOST}X y: z\r\n\r\n`],
    ["a blank before the colon", `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n${NO_CHUNKS}`],
    ["a coding with HTTP/1.0", `POST /a HTTP/1.0\r\n${HOST}${CHUNKED}${NO_CHUNKS}`],
    ["a folded header", `POST /a HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`],
    ["a folded coding", `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n chunked\r\n${NO_CHUNKS}`],
    ["a folded first header", `POST /a HTTP/1.1\r\n ${HOST}\r\n`],
    ["bare LFs", "POST /a HTTP/1.1\nHost: robot\n\n"],
    ["one bare LF", `POST /a HTTP/1.1\r\n${HOST}X: a\nY: b\r\n\r\n`],
    ["a bare CR in a header", `POST /a HTTP/1.1\r\n${HOST}X: a\rY: b\r\n\r\n`],
    ["a bare CR after the request line", `POST /a HTTP/1.1\r${HOST}\r\n`],
    ["a CR before the CRLF", `POST /a HTTP/1.1\r\n${HOST}X: a\r\r\n\r\n`],
    ["a NUL in a header", `POST /a HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`],
    ["a control character in a header", `POST /a HTTP/1.1\r\n${HOST}X: a\u0001b\r\n\r\n`],
    ["a header without a name", `POST /a HTTP/1.1\r\n${HOST}: b\r\n\r\n`],
    ["two hosts", `POST /a HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`],
    ["no host", "POST /a HTTP/1.1\r\n\r\n"],
    ["GET with a body", `GET /a HTTP/1.1\r\n${HOST}Content-Length: ${REBOOT.length}\r\n\r\n${REBOOT}`],
    ["GET with a chunked body", `GET /a HTTP/1.1\r\n${HOST}${CHUNKED}${NO_CHUNKS}${REBOOT}`],
    ["another expectation", `POST /a HTTP/1.1\r\n${HOST}Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx`],
    ["the method replaced by a header", `POST /a HTTP/1.1\r\n${HOST}X-HTTP-Method-Override: DELETE\r\n\r\n`],
    ["the path replaced by a header", `POST /a HTTP/1.1\r\n${HOST}X-Original-URL: /reboot\r\n\r\n`],
    ...[
      "X-Original-URI",
      "X-Rewrite-URI",
      "X-Forwarded-Path",
      "X-Forwarded-URI",
      "X-Forwarded-Prefix",
      "X-Override-URL",
      "X-HTTP-DestinationURL",
      "Base-Url",
      "Request-Uri",
    ].map((name) => [`the path replaced by ${name}`, `POST /a HTTP/1.1\r\n${HOST}${name}: /reboot\r\n\r\n`]),
    ["the path replaced by a header with underscores", `POST /a HTTP/1.1\r\n${HOST}X_Rewrite_Url: /reboot\r\n\r\n`],
    ["a method in small letters", `post /reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a method in mixed letters", `Post /reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a method nobody knows", `REBOOT /reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["CONNECT", `CONNECT robot:80 HTTP/1.1\r\n${HOST}\r\n${REBOOT}`],
    ["TRACE", `TRACE /a HTTP/1.1\r\n${HOST}\r\n`],
    ["HTTP/0.9", "POST /reboot\r\n\r\n"],
    ["HTTP/2 by prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["the version 2.0", `POST /a HTTP/2.0\r\n${HOST}\r\n`],
    ["the version 1.2", `POST /a HTTP/1.2\r\n${HOST}\r\n`],
    ["an absolute target", `POST http://robot/reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["an asterisk target", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
    ["an encoded letter", `POST /%72eboot HTTP/1.1\r\n${HOST}\r\n`],
    ["an encoded letter of the query's mark", `POST /reboot%3Fx HTTP/1.1\r\n${HOST}\r\n`],
    ["a doubly encoded letter", `POST /%2572eboot HTTP/1.1\r\n${HOST}\r\n`],
    ["an encoded slash", `POST /a%2F..%2Freboot HTTP/1.1\r\n${HOST}\r\n`],
    ["dot segments", `POST /a/../reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["encoded dot segments", `POST /a/%2e%2e/reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a segment of parameters only before it", `POST /;x/reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a segment of parameters only after it", `POST /reboot/;x/ HTTP/1.1\r\n${HOST}\r\n`],
    ["two slashes", `POST //reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a backslash", `POST /a\\..\\reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a NUL in the path", `POST /reboot\0 HTTP/1.1\r\n${HOST}\r\n`],
    ["a tab in the request line", `POST\t/reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a fragment", `POST /reboot#a HTTP/1.1\r\n${HOST}\r\n`],
    ["bytes beyond ASCII in the path", `POST /r\u00e9boot HTTP/1.1\r\n${HOST}\r\n`],
    ["a TLS hello", "\u0016\u0003\u0001\u0002\0\u0001\0\u0001\u00fc\u0003\u0003"],
  ])("%s", async (_name, request) => {
    await using world = await startWorld();
    expect(await exchange(world, [request])).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n[^]*"rule":"strict","because":"[^"]/);
    expect(world.device.connections).toEqual([]);
    expect(world.decisions).toMatchObject([{ decision: "block", rule: "strict" }]);
  });
});

// The parser of Node 20.19.0 and 20.19.1 (llhttp 8) takes such a head for unfinished: it is never judged, nor passed on.
const isOldParser = Number.parseInt(process.versions["llhttp"] ?? "0", 10) < 9;
test.skipIf(isOldParser)("a bare LF at the end of the head is refused (needs llhttp 9)", async () => {
  await using world = await startWorld();
  expect(await exchange(world, [`POST /a HTTP/1.1\r\n${HOST}\n`])).toMatch(/^HTTP\/1\.1 400 /);
  expect(world.device.connections).toEqual([]);
});

describe("what a device could take for a refused request is refused with 403", () => {
  test.each([
    ["capital letters in the path", `POST /Reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["a final slash", `POST /reboot/ HTTP/1.1\r\n${HOST}\r\n`],
    ["a final dot", `POST /reboot. HTTP/1.1\r\n${HOST}\r\n`],
    ["a final blank", `POST /reboot%20 HTTP/1.1\r\n${HOST}\r\n`],
    ["a final blank beyond ASCII", `POST /reboot%C2%A0 HTTP/1.1\r\n${HOST}\r\n`],
    ["a path parameter", `POST /reboot;a=b HTTP/1.1\r\n${HOST}\r\n`],
    ["a query", `POST /reboot?a=b HTTP/1.1\r\n${HOST}\r\n`],
    ["HTTP/1.0", "POST /reboot HTTP/1.0\r\n\r\n"],
    ["blank lines before it", `\r\n\r\nPOST /reboot HTTP/1.1\r\n${HOST}\r\n`],
    ["an upgrade", `POST /reboot HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`],
    ["an expectation", `POST /reboot HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`],
  ])("%s", async (_name, request) => {
    await using world = await startWorld();
    const answer = await exchange(world, [request]);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).not.toContain("100 Continue");
    expect(world.device.connections).toEqual([]);
  });
});

test.each(["websocket", "h2c"])("an upgrade to %s of an allowed path is refused, and what follows is not looked at", async (protocol) => {
  await using world = await startWorld();
  const answer = await exchange(world, [
    `GET /a HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${protocol}\r\n\r\n`,
    "POST /drive HTTP/1.1\r\nHost: robot\r\nContent-Length: 0\r\n\r\n",
  ]);
  expect(answer).toMatch(/^HTTP\/1\.1 403 [^]*no upgrade/);
  expect(world.device.connections).toEqual([]);
});

test("a request inside the body of an allowed one stays a body", async () => {
  await using world = await startWorld();
  const inner = REBOOT;
  const outer = `POST /a HTTP/1.1\r\n${HOST}Connection: close\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`;
  expect(await exchange(world, [outer])).toMatch(/^HTTP\/1\.1 200 /);
  expect(world.device.requests).toEqual([`POST /a ${inner}`]);
});

test("chunk extensions and trailers do not reach the device", async () => {
  await using world = await startWorld();
  const request = `POST /a HTTP/1.1\r\n${HOST}${CHUNKED}Connection: close\r\nTrailer: X-Evil\r\n\r\n3;evil="POST /reboot"\r\nabc\r\n0\r\nX-Evil: /reboot\r\n\r\n`;
  expect(await exchange(world, [request])).toMatch(/^HTTP\/1\.1 200 /);
  expect(world.device.requests).toEqual(["POST /a abc"]);
  expect(bytesAtDevice(world).toLowerCase()).not.toMatch(/evil|reboot|trailer/);
});

test("when the chunks of an allowed request break, the device's connection is closed and the client told", async () => {
  await using world = await startWorld();
  using client = new RawClient(world.filter.address);
  world.device.server.once("connection", () => void client.send("zz\r\nPOST /reboot HTTP/1.1\r\n\r\n"));
  await client.send(`POST /a HTTP/1.1\r\n${HOST}${CHUNKED}\r\n3\r\nabc\r\n`);
  expect(await client.ended).toMatch(/^HTTP\/1\.1 400 /);
  await world.device.connections[0]?.closed;
  expect(world.decisions).toMatchObject([
    { decision: "allow", summary: "POST /a" },
    { decision: "block", summary: "POST /a", because: expect.stringMatching(/^ends the request that was allowed: /) },
  ]);
  expect(world.device.requests).toEqual([]);
  expect(bytesAtDevice(world)).not.toContain("reboot");
});

test("a head beyond 16 kB is refused", async () => {
  await using world = await startWorld();
  expect(await exchange(world, [`POST /a HTTP/1.1\r\n${HOST}X: ${"x".repeat(17_000)}\r\n\r\n`])).toMatch(/^HTTP\/1\.1 431 /);
  expect(world.device.connections).toEqual([]);
});

test("a refusal reaches a client that is still sending a large body", async () => {
  await using world = await startWorld();
  using client = new RawClient(world.filter.address);
  const answered = client.receive("only the owner");
  await client.send(`POST /reboot HTTP/1.1\r\n${HOST}Content-Length: 50000000\r\n\r\n${"x".repeat(3_000_000)}`);
  expect(await answered).toMatch(/^HTTP\/1\.1 403 /);
  expect(world.device.connections).toEqual([]);
});
