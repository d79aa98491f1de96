import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AppError } from "@hardshare/protocol";
import { tidyMemory } from "@hardshare/testkit/tidy-memory";
import { expect, test } from "vitest";
import { HardshareClient, normaliseServerUrl } from "./index.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server that answers every request as the test says. */
async function serve(handler: Handler) {
  const server = createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(typeof body === "string" ? body : JSON.stringify(body));
}

async function failureOf(promise: Promise<unknown>): Promise<AppError> {
  const error: unknown = await promise.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

const instanceId = "01234567-89ab-4cde-8f01-23456789abcd";

test("a request carries the token and its answer is checked against the schema", async () => {
  const seen: string[] = [];
  await using server = await serve((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    answer(response, 200, { user: "ada", org: null, superuser: false, expires: "2030-01-01" });
  });
  const client = new HardshareClient({ url: `${server.url}/`, token: "t0" });
  expect(await client.whoami()).toEqual({ user: "ada", org: null, superuser: false, expires: "2030-01-01" });
  expect(seen).toEqual(["GET /whoami Bearer t0"]);
});

test("a launch by type sends its options as JSON", async () => {
  let seen = "";
  await using server = await serve((request, response) => {
    request.on("data", (chunk) => (seen += String(chunk)));
    request.on("end", () => answer(response, 200, { success: true, id: instanceId }));
  });
  const launched = await new HardshareClient({ url: server.url, token: "t" }).launch("sim_robot", { expire_d: 60 });
  expect(launched.id).toBe(instanceId);
  expect(seen).toBe('{"expire_d":60}');
});

test("an error answer keeps its code, its message and its details", async () => {
  await using server = await serve((_request, response) =>
    answer(response, 503, { error_message: "held by bob until 12:00", code: "busy", details: { holder: "bob" } }),
  );
  const error = await failureOf(new HardshareClient({ url: server.url, token: "t" }).launch("sim_robot"));
  expect(error).toMatchObject({ code: "busy", message: "held by bob until 12:00", details: { holder: "bob" }, exitCode: 3 });
});

test.each([
  [403, "", "access_denied"],
  [404, '{"error_message":"instance not found"}', "not_found"],
  [400, '{"error_message":"x","code":"of another version"}', "bad_input"],
  [502, "<html>", "server_unreachable"],
  [500, "", "internal"],
])("status %i without a known code becomes an error of the catalogue", async (status, body, code) => {
  await using server = await serve((_request, response) => answer(response, status, body));
  expect((await failureOf(new HardshareClient({ url: server.url }).whoami())).code).toBe(code);
});

test("an answer that is no JSON is told as such", async () => {
  await using server = await serve((_request, response) => answer(response, 200, "<html>router</html>"));
  const error = await failureOf(new HardshareClient({ url: server.url }).whoami());
  expect(error.code).toBe("protocol_violation");
  expect(error.message).toMatch(/check that http:\/\/127.0.0.1:\d+ is a hardshare server/);
});

test("a server that can't be reached is told with its address, the reason and what to do", async () => {
  const server = await serve(() => {});
  await server[Symbol.asyncDispose]();
  const error = await failureOf(new HardshareClient({ url: server.url }).whoami());
  expect(error.code).toBe("server_unreachable");
  expect(error.message).toContain(`${server.url} (ECONNREFUSED)`);
});

test("a server that stays silent is given up, and the error says what was waited for", async () => {
  await using server = await serve(() => {});
  const error = await failureOf(new HardshareClient({ url: server.url, timeoutMs: 30 }).whoami());
  expect(error.code).toBe("timed_out");
  expect(error.message).toContain("GET /whoami within");
});

test.each(["ftp://x", "127.0.0.1:8484", "", "http://u:p@x/", "http://x/?a=b"])("%j is no address of a server", (text) => {
  expect(() => normaliseServerUrl(text)).toThrow(/is no address of a server; write one such as/);
});

function eventText(id: number, state: string): string {
  return `id: ${id}\ndata: ${JSON.stringify({ id, at: "2026-01-01T00:00:00Z", kind: "state", data: { state } })}\n\n`;
}

test("events go on after the last one seen when the stream breaks, none twice, until the last state", async () => {
  const asked: (string | undefined)[] = [];
  await using server = await serve((request, response) => {
    asked.push(request.headers["last-event-id"] as string | undefined);
    response.writeHead(200, { "content-type": "text/event-stream" });
    if (asked.length === 1) {
      response.write(`: hello\n\n${eventText(1, "INIT")}id: 2\nda`);
      response.socket?.end();
    } else {
      response.write(eventText(1, "INIT") + eventText(2, "READY"));
      response.write(eventText(3, "TERMINATING") + eventText(4, "TERMINATED"));
    }
  });
  const breaks: string[] = [];
  const client = new HardshareClient({ url: server.url, token: "t" });
  const states: unknown[] = [];
  for await (const event of client.instanceEvents(instanceId, { onReconnect: (problem) => breaks.push(problem.code) })) {
    states.push(event.data["state"]);
  }
  expect(states).toEqual(["INIT", "READY", "TERMINATING", "TERMINATED"]);
  expect(asked).toEqual([undefined, "1"]);
  expect(breaks).toHaveLength(1);
});

test("who has seen all events of an instance that ended is told so, and does not ask again", async () => {
  let asked = 0;
  await using server = await serve((_request, response) => {
    asked += 1;
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end("event: end\ndata: {}\n\n");
  });
  const events = new HardshareClient({ url: server.url, token: "t" }).instanceEvents(instanceId, { after: 4 });
  expect(await events.next()).toEqual({ done: true, value: undefined });
  expect(asked).toBe(1);
});

test("an event that can't be read breaks the protocol, and is not asked for again", async () => {
  await using server = await serve((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end("id: 1\ndata: {not json\n\n");
  });
  const events = new HardshareClient({ url: server.url, token: "t" }).instanceEvents(instanceId);
  expect((await failureOf(events.next())).code).toBe("protocol_violation");
});

test("events of an unknown instance are an error at once", async () => {
  await using server = await serve((_request, response) => answer(response, 404, { error_message: "instance not found" }));
  const events = new HardshareClient({ url: server.url, token: "t" }).instanceEvents(instanceId);
  expect((await failureOf(events.next())).code).toBe("not_found");
});

test("whoever follows an instance can stop, also when memory was tidied up since the stream began", async () => {
  await using server = await serve((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write(eventText(1, "INIT")); // and then silence
  });
  const client = new HardshareClient({ url: server.url, token: "t" });
  const [interrupted, over] = [new AbortController(), new AbortController()];
  const events = client.instanceEvents(instanceId, { signal: AbortSignal.any([interrupted.signal, over.signal]) });
  expect((await events.next()).value).toMatchObject({ id: 1 });
  const more = events.next();
  await tidyMemory();
  interrupted.abort();
  expect(await more).toEqual({ done: true, value: undefined });
});

test("whoever follows an instance can stop", async () => {
  await using server = await serve((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(eventText(1, "INIT"));
  });
  const stop = new AbortController();
  const seen: number[] = [];
  for await (const event of new HardshareClient({ url: server.url }).instanceEvents(instanceId, { signal: stop.signal })) {
    seen.push(event.id);
    stop.abort();
  }
  expect(seen).toEqual([1]);
});
