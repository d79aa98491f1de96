import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tidyMemory } from "@hardshare/testkit/tidy-memory";
import { expect, test } from "vitest";
import { httpRequest } from "./http-request.ts";

/** A server that answers every request as the test says. */
async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/a?b=c`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all).toString();
}

test("what is sent arrives, and what is answered comes back", async () => {
  await using server = await serve((request, response) => {
    const { "x-a": ours, "content-length": length } = request.headers;
    void readAll(request).then((body) =>
      response.writeHead(404).end(`${request.method} ${request.url} ${String(ours)} ${String(length)} ${body}`),
    );
  });
  const answer = await httpRequest(server.url, { method: "POST", headers: { "x-a": "1" }, body: "grüße" });
  expect(answer.status).toBe(404);
  expect(await readAll(answer.body)).toBe("POST /a?b=c 1 7 grüße");
});

test("a redirect is told, and not followed", async () => {
  await using server = await serve((_request, response) => response.writeHead(302, { location: "http://other/" }).end());
  await expect(httpRequest(server.url, { method: "GET", headers: {} })).rejects.toThrow("it redirects to http://other/");
});

test("nobody there is told as the system says it", async () => {
  const { port } = await serve(() => {}).then(async (server) => {
    await server[Symbol.asyncDispose]();
    return server.url;
  });
  await expect(httpRequest(new URL(`http://127.0.0.1:${port}`), { method: "GET", headers: {} })).rejects.toMatchObject({
    code: "ECONNREFUSED",
  });
});

test("a signal ends it before it is sent, before its answer, and within its body, also when memory was tidied up", async () => {
  const arrived = withResolvers();
  await using server = await serve((request, response) => {
    if (request.url === "/begun") response.writeHead(200).write("begun");
    else arrived.resolve(undefined);
  });
  const reason = new Error("enough");
  await expect(httpRequest(server.url, { method: "GET", headers: {}, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

  const early = new AbortController();
  const waiting = httpRequest(server.url, { method: "GET", headers: {}, signal: early.signal });
  await arrived.promise;
  early.abort(reason);
  await expect(waiting).rejects.toBe(reason);

  const late = new AbortController();
  const { body } = await httpRequest(new URL("/begun", server.url), { method: "GET", headers: {}, signal: late.signal });
  const chunks = body[Symbol.asyncIterator]();
  expect(String((await chunks.next()).value)).toBe("begun");
  const next = chunks.next();
  await tidyMemory();
  late.abort(reason);
  await expect(next).rejects.toBe(reason);
});

test("an answer that breaks off is a failure, and one that is not read to its end is given up", async () => {
  const gone = withResolvers();
  await using server = await serve((request, response) => {
    response.writeHead(200, { "content-length": "10" }).write("half");
    if (request.url === "/broken") response.socket?.end();
    else response.once("close", () => gone.resolve(undefined));
  });
  const broken = await httpRequest(new URL("/broken", server.url), { method: "GET", headers: {} });
  await expect(readAll(broken.body)).rejects.toThrow();
  const { body } = await httpRequest(server.url, { method: "GET", headers: {} });
  for await (const chunk of body) {
    expect(String(chunk)).toBe("half");
    break;
  }
  await gone.promise;
});

function withResolvers(): { promise: Promise<unknown>; resolve: (value: unknown) => void } {
  let resolve: (value: unknown) => void = () => {};
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}
