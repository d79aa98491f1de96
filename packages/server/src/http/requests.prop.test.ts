import { once } from "node:events";
import { connect } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "@hardshare/runtime";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../testing/test-world.fixture.ts";

let ground: TestGround;
let world: TestWorld;
let owner: TestUser;
let deploymentId: string;
let errors: unknown[];
beforeAll(async () => {
  errors = [];
  const noted = (message: string, details?: Record<string, unknown>) => void errors.push({ message, ...details });
  const logger: Logger = { debug() {}, info() {}, warn() {}, error: noted, child: () => logger };
  ground = await startTestGround();
  world = await TestWorld.start(ground, { logger });
  owner = await world.admin();
  ({ deploymentId } = await world.addHost(owner));
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

const ROUTES = (
  "/ /workspaces /deployments /deployment/ /new /new/ /instances /instance/ /terminate/ /firewall/ /whoami /revoke/ /admin/tokens /admin/users " +
  "/hardshare/register /hardshare/list /hardshare/terminate/ /hubs/register"
).split(" ");
const FIELDS = (
  "host key name signature sshHostKey user days superuser action source cap capability date_created sshkey " +
  "eventurl reason at duration description hs type q page max_per_page after with_key __proto__"
).split(" ");
const word = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("*", "type:anon", "CAP_INSTANTIATE", "ACCEPT", "0.0.0.0/0", "\0", "\ud800", "../..", "-1", "1e99", "%", "true", "owner"),
  fc.uuid(),
  fc.constant(USER_KEY),
);
const segment = fc.oneof(
  word,
  fc.constantFrom("rules", "rule", "lockout", "events", "sshkey", "0", "99999999999"),
  fc.constant("THE DEPLOYMENT"),
);
const value = fc.oneof(word, fc.jsonValue({ maxDepth: 2 }), fc.double(), fc.integer());
const body = fc.oneof(
  fc.dictionary(fc.constantFrom(...FIELDS), value).map((object) => JSON.stringify(object)),
  fc.json(),
  fc.string({ unit: "binary" }),
  fc.constant(undefined),
  fc.tuple(fc.constantFrom("[", '{"a":'), fc.nat(60_000)).map(([mark, times]) => mark.repeat(times)),
);

/** As a part of a URL; halves of characters cannot be in one. */
function encode(part: string): string {
  return encodeURIComponent(Buffer.from(part).toString());
}

test("whatever is asked of the API is answered, and never by a failure of ours", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "POST", "DELETE", "PUT", "PATCH"),
      fc.constantFrom(...ROUTES),
      fc.array(segment, { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...FIELDS), word, { maxKeys: 3 }),
      body,
      async (method, route, segments, query, text) => {
        const path = segments.map((part) => encode(part === "THE DEPLOYMENT" ? deploymentId : part));
        const fields = Object.entries(query).map(([name, part]) => `${name}=${encode(part)}`);
        const target = `${route}${path.join("/")}${fields.length > 0 ? `?${fields.join("&")}` : ""}`;
        const answer = await owner.call(method, target, method === "GET" ? undefined : text);
        expect({ target, status: answer.status, text: answer.text }).toMatchObject({
          status: expect.toSatisfy((status: number) => status < 500 || status === 503),
        });
        if (answer.status >= 400)
          expect(answer.body).toMatchObject({ error_message: expect.stringMatching(/./), code: expect.stringMatching(/./) });
      },
    ),
  );
  expect(errors).toEqual([]);
  expect((await owner.call("GET", "/whoami")).status).toBe(200);
});

test("whatever bytes come, the server answers or closes, and goes on", async () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "GET / HTTP/1.1\r\n",
      "POST /new HTTP/1.1\r\n",
      "GET /channel/host HTTP/1.1\r\n",
      "OPTIONS * HTTP/1.1\r\n",
      "CONNECT a:1 HTTP/1.1\r\n",
    ),
    fc.constantFrom(
      "Host: a\r\n",
      "Content-Length: 3\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Expect: 100-continue\r\n",
      "Authorization: Bearer x\r\n",
    ),
    fc.constantFrom(
      "Upgrade: websocket\r\n",
      "Connection: Upgrade\r\n",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
      "Sec-WebSocket-Version: 13\r\n",
    ),
    fc.constantFrom(
      "X-Forwarded-For: 1.2.3.4, \xff\r\n",
      "Content-Type: \r\n",
      "Last-Event-ID: x\r\n",
      "\r\n",
      "3\r\n{}\n\r\n",
      "0\r\n\r\n",
      "{}",
      "\0",
    ),
    fc.string({ unit: "binary", maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 14 }), fc.boolean(), async (pieces, isCut) => {
      const socket = connect({ port: world.server.port, host: "127.0.0.1", noDelay: true });
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.on("error", () => {});
      let heard = "";
      socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
      await once(socket, "connect");
      for (const text of pieces) {
        socket.write(Buffer.from(text, "latin1"));
        if (isCut) await nextTurn();
      }
      socket.end();
      await closed;
      expect(heard).not.toMatch(/^HTTP\/1\.1 50[0-24]/m);
    }),
  );
  expect(errors).toEqual([]);
  expect((await owner.call("GET", "/whoami")).status).toBe(200);
});

test("whatever frames come on a channel before its hello, it is closed, and others go on", async () => {
  const length = fc.oneof(
    fc.nat(125).map((size) => Buffer.of(0x80 | size)),
    fc.nat(127).map((size) => Buffer.of(size)), // not masked: a breach of the protocol
    fc.constantFrom(
      Buffer.of(0xfe, 0xff, 0xff),
      Buffer.of(0xff, 0, 0, 0, 0, 0, 0x20, 0, 0),
      Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    ),
  );
  const bytes = fc
    .tuple(fc.nat(255), length, fc.uint8Array({ maxLength: 140 }))
    .map(([head, size, rest]) => Buffer.concat([Buffer.of(head), size, rest]));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom("host", "hub"), fc.array(bytes, { maxLength: 6 }), async (role, frames) => {
      const client = new WebSocket(`ws://127.0.0.1:${world.server.port}/channel/${role}`);
      client.on("error", () => {});
      const closed = new Promise((resolve) => client.once("close", resolve));
      await once(client, "open");
      const { _socket: socket } = client as unknown as { _socket: import("node:net").Socket };
      for (const frame of frames) socket.write(frame);
      socket.end();
      await closed;
    }),
  );
  expect(errors).toEqual([]);
  expect((await owner.call("GET", "/whoami")).status).toBe(200);
});
