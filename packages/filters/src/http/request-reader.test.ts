import { METHODS } from "node:http";
import { describe, expect, test } from "vitest";
import { type ClientRequest, RequestReader } from "./request-reader.ts";

/** Reads these pieces one after the other. */
function read(pieces: readonly string[]) {
  const requests: (Omit<ClientRequest, "body"> & { body: string })[] = [];
  let heldBytes = 0;
  const reader = new RequestReader({
    onRequest({ body, ...head }) {
      const request = { ...head, body: "" };
      requests.push(request);
      body.start({ take: (bytes) => (request.body += bytes.toString("latin1")), end: () => (request.body += "."), leave: () => {} });
    },
    onHeld: (changeBytes) => (heldBytes += changeBytes),
  });
  const results = pieces.map((piece) => reader.read(Buffer.from(piece, "latin1")));
  const end = reader.end();
  const { isInHead } = reader;
  reader[Symbol.dispose]();
  expect(heldBytes).toBe(0);
  return { requests, results: results.filter((result) => result !== undefined), end, isInHead };
}

const byteByByte = (text: string) => text.split("");
const manyHeaders = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}: ${index}\r\n`).join("");

test.each(METHODS.filter((method) => method !== "CONNECT"))("%s is read as itself", (method) => {
  expect(read([`${method} /a HTTP/1.1\r\n\r\n`]).requests).toMatchObject([{ method, target: "/a", version: "1.1", body: "." }]);
});

describe("a head with more headers than the parser hands over at once", () => {
  const request = `POST /${"p".repeat(300)}?q HTTP/1.1\r\n${manyHeaders("X-", 100)}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n`;
  const text = `${request}${manyHeaders("Trailer-", 40)}\r\nGET /b HTTP/1.1\r\nHost: robot\r\n\r\n`;

  test.each([
    ["in one piece", [text]],
    ["byte by byte", byteByByte(text)],
  ])("is read whole %s, and its trailers are left out", (_name, pieces) => {
    const { requests } = read(pieces);
    expect(requests.map(({ target, body }) => [target, body])).toEqual([
      [`/${"p".repeat(300)}?q`, "abc."],
      ["/b", "."],
    ]);
    expect(requests[0]?.rawHeaders).toHaveLength(2 * 101);
    expect(requests[0]?.rawHeaders.slice(-4)).toEqual(["X-99", "99", "Transfer-Encoding", "chunked"]);
    expect(requests[1]?.rawHeaders).toEqual(["Host", "robot"]);
  });
});

test.each([
  ["Connection: close", "GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"],
  ["a request of HTTP/1.0", "GET /a HTTP/1.0\r\n\r\n"],
])("nothing after %s is looked at", (_name, last) => {
  const { requests, results, end } = read([`${last}GET /b HTTP/1.1\r\n\r\n`, "GET /c HTTP/1.1\r\n\r\n", "\0"]);
  expect(requests).toMatchObject([{ target: "/a", isKeptAlive: false }]);
  expect([results, end]).toEqual([[], undefined]);
});

test("nothing after something malformed is looked at", () => {
  const { requests, results, end } = read(["GET /a HTTP/1.1\r\n\r\nGET /b\n", "GET /c HTTP/1.1\r\n\r\n"]);
  expect(requests).toMatchObject([{ target: "/a" }]);
  expect(results).toMatchObject([{ status: 400, because: expect.stringMatching(/^the request is malformed: /) }]);
  expect(end).toBeUndefined();
});

test.each([
  ["a head beyond 16 kB", `GET /a HTTP/1.1\r\n${manyHeaders("X-", 2000)}\r\n`, 431],
  ["chunk extensions beyond 16 kB", `POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;${"x".repeat(20_000)}\r\nab\r\n`, 413],
  ["a header without a colon", "GET /a HTTP/1.1\r\nX\r\n\r\n", 400],
  ["a chunk size that is no number", "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
])("%s is malformed", (_name, text, status) => {
  expect(read([text]).results).toMatchObject([{ status }]);
});

test("what follows a request for another protocol is handed over as it came", () => {
  const { requests, results } = read(["GET /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00GET", "more"]);
  expect(requests).toEqual([]);
  expect(results).toMatchObject([{ request: { method: "GET", target: "/a" }, rest: Buffer.from("\x81\x00GET", "latin1") }]);
});

test.each([
  ["nothing", "", true],
  ["blank lines", "\r\n\r\n", true],
  ["a part of a head", "GET /a HTTP/1.1\r\nHo", true],
  ["a whole request", "GET /a HTTP/1.1\r\n\r\n", false],
  ["a part of a body", "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", false],
  ["a whole request and the beginning of another", "GET /a HTTP/1.1\r\n\r\nG", true],
])("after %s it is told whether a head is to come", (_name, text, isInHead) => {
  expect(read([text]).isInHead).toBe(isInHead);
});

test.each([
  ["in a head", "GET /a HT", 400],
  ["in a body", "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", 400],
  ["between requests", "GET /a HTTP/1.1\r\n\r\n", undefined],
])("a client that ends %s is malformed or not", (_name, text, status) => {
  expect(read([text]).end?.status).toBe(status);
});
