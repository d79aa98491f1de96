import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { parseHttpRules } from "../rules/http-rules.ts";
import { makeLimits, startLiveFilter } from "../testing/filter-world.ts";
import { RawClient } from "../testing/raw-client.ts";

const RULES = `
rules:
  - allow: WS /events
    body_limit: 5000
    in:
      rules:
        - { allow: { op: subscribe } }
        - { block: { op: reboot }, because: only the owner reboots this robot }
        - allow: { op: drive }
          body: { type: object, required: [speed], properties: { op: true, speed: { type: number, maximum: 12 } }, additionalProperties: false }
          clamp: { speed: [-8, 8] }
          rate: 3/h
    out:
      default: allow
      rules: [{ block: { kind: secret } }]
  - allow: WS /raw
  - block: WS /camera
  - allow: GET /*
`;

/** A device that keeps what it is told, and says what it is asked to say. */
async function startSocketDevice() {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate: { threshold: 0 },
    handleProtocols: (offered) => (offered.has("b") ? "b" : false),
  });
  await once(server, "listening");
  const got: string[] = [];
  const headers: Record<string, unknown>[] = [];
  let isRefusing = false;
  server.on("connection", (socket, request) => {
    headers.push(request.headers);
    socket.on("message", (data: Buffer, isBinary) => got.push(isBinary ? data.toString("hex") : data.toString()));
  });
  server.shouldHandle = () => !isRefusing;
  return { server, got, headers, port: (server.address() as AddressInfo).port, refuse: () => void (isRefusing = true) };
}

let device: Awaited<ReturnType<typeof startSocketDevice>>;
let world: Awaited<ReturnType<typeof startLiveFilter>>;
const limits = makeLimits();
beforeEach(async () => {
  device = await startSocketDevice();
  world = await startLiveFilter({ host: "127.0.0.1", port: device.port }, parseHttpRules(RULES, "f", makeLimits()));
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  for (const client of device.server.clients) client.terminate();
  device.server.close();
});

/** A client with all that it hears. */
async function open(path: string, protocols: string[] = [], options: object = {}) {
  const socket = new WebSocket(`ws://${world.filter.address}${path}`, protocols, options);
  const heard: string[] = [];
  socket.on("message", (data: Buffer, isBinary) => heard.push(isBinary ? data.toString("hex") : data.toString()));
  socket.on("error", () => {});
  await once(socket, "open");
  const [atDevice] = [...device.server.clients];
  if (atDevice === undefined) throw new Error("the device has no client");
  return {
    socket,
    heard,
    atDevice,
    /** Settles when all that was sent before has come to the device or was refused. */
    async settle() {
      for (const side of [socket, atDevice]) {
        const answered = once(side, "pong");
        side.ping();
        await answered;
      }
    },
    [Symbol.dispose]: () => socket.terminate(),
  };
}

const told = () => device.got;

describe("messages to the device", () => {
  test("that are bytes do not carry what is blocked as a text past the rules", async () => {
    const rules = "{ rules: [{ allow: WS /events, in: { default: allow, rules: [{ block: { op: reboot } }] } }] }";
    world.setRules(parseHttpRules(rules, "f", makeLimits()));
    using client = await open("/events");
    const answered = once(client.socket, "message");
    client.socket.send(Buffer.from(' {"op":"reboot"}'));
    client.socket.send(Buffer.from("{picture}"));
    await answered;
    await client.settle();
    expect(told()).toEqual([Buffer.from("{picture}").toString("hex")]);
    expect(client.heard[0]).toContain("these bytes hold JSON");
    world.setRules(parseHttpRules(rules.replace("rules: [{ block", "rules: [{ allow: binary }, { block"), "f", makeLimits()));
    client.socket.send(Buffer.from("{}"));
    await client.settle();
    expect(told()).toHaveLength(2);
  });

  test("pass as far as a rule allows them, each written anew from what was parsed", async () => {
    using client = await open("/events");
    const answers = once(client.socket, "message");
    client.socket.send(' {"op":"subscribe", "topic":"\\u0061"}');
    client.socket.send('{"op":"drive","speed":11}');
    client.socket.send('{"op":"drive","speed":13}');
    await answers;
    await client.settle();
    expect(told()).toEqual(['{"op":"subscribe","topic":"a"}', '{"op":"drive","speed":8}']);
    expect(client.heard.map((text) => JSON.parse(text) as unknown)).toEqual([
      { error: "refused by filter", rule: 'WS /events in: {"op":"drive"}', because: "/speed must be <= 12" },
    ]);
    expect(world.decisions.map(({ decision, direction }) => `${direction} ${decision}`)).toEqual([
      "in allow",
      "in allow",
      "in allow",
      "in block",
    ]);
  });

  test.each([
    ["of another kind", '{"op":"fly"}'],
    ["that are bytes", Buffer.from("{}")],
    ["that are no JSON", "subscribe"],
    ["with a field twice", '{"op":"subscribe","op":"reboot"}'],
    ["with a field twice but for letter case", '{"op":"subscribe","Op":"reboot"}'],
    ["that are nearly JSON", '{"op":"subscribe",}'],
    ["that are many", '[{"op":"subscribe"}]'],
    ["blocked in another letter case", '{"OP":" Reboot"}'],
  ])("%s do not pass", async (_name, message) => {
    using client = await open("/events");
    const answered = once(client.socket, "message");
    client.socket.send(message);
    await answered;
    expect(told()).toEqual([]);
    expect(JSON.parse(client.heard[0] ?? "")).toMatchObject({ error: "refused by filter", because: expect.any(String) });
  });

  test("in pieces are judged when they are whole, compressed ones when they are unpacked", async () => {
    using client = await open("/events", [], { perMessageDeflate: { threshold: 0 } });
    expect(client.socket.extensions).toBe("permessage-deflate");
    client.socket.send('{"op":"sub', { fin: false });
    client.socket.send('scribe"}', { fin: true });
    client.socket.send('{"op":"re', { fin: false });
    client.socket.send('boot"}', { fin: true });
    client.socket.send(`{"op":"subscribe","topic":"${"a".repeat(4000)}"}`, { compress: true });
    await client.settle();
    expect(told().map((text) => text.slice(0, 20))).toEqual(['{"op":"subscribe"}', '{"op":"subscribe","t']);
    expect(client.heard.filter((text) => text.includes("only the owner"))).toHaveLength(1);
  });

  test("of more than the limit end the connection, also when they are small while compressed", async () => {
    using client = await open("/events", [], { perMessageDeflate: { threshold: 0 } });
    const left = once(client.atDevice, "close");
    const closed = once(client.socket, "close");
    client.socket.send(`{"op":"subscribe","topic":"${"a".repeat(6000)}"}`);
    expect((await closed)[0]).toBe(1009);
    await left;
    expect(told()).toEqual([]);
    expect(world.decisions.at(-1)).toMatchObject({ decision: "block", rule: "strict" });
  });

  test("come under rates, and under new rules at once", async () => {
    using client = await open("/events");
    for (let count = 0; count < 5; count += 1) client.socket.send('{"op":"drive","speed":1}');
    await client.settle();
    expect(told()).toHaveLength(3);
    world.setRules(parseHttpRules("rules: [{ allow: WS /events, in: { rules: [{ allow: text }] } }]", "f", limits));
    const arrived = once(client.atDevice, "message");
    client.socket.send("anything");
    await arrived;
    world.setRules(parseHttpRules("default: allow", "f", limits));
    const refused = once(client.socket, "message");
    client.socket.send("anything");
    await refused;
    expect(told().slice(3)).toEqual(["anything"]);
  });
});

test("messages from the device pass or stay as the rules say", async () => {
  using client = await open("/events");
  const arrived = once(client.socket, "message");
  client.atDevice.send('{"kind":"secret","key":1}');
  client.atDevice.send(' {"kind":"pose", "x":0.30000000000000004441}');
  await arrived;
  expect(client.heard).toEqual(['{"kind":"pose","x":0.30000000000000004}']);
});

test("without rules for messages all pass, texts as texts and bytes as bytes", async () => {
  using client = await open("/raw");
  const arrived = once(client.socket, "message");
  client.socket.send("text");
  client.socket.send(Buffer.from([0, 255]));
  while (told().length < 2) await once(client.atDevice, "message");
  client.atDevice.send(Buffer.from([1]));
  await arrived;
  expect([told(), client.heard]).toEqual([["text", "00ff"], ["01"]]);
});

test("the device chooses the subprotocol, and gets the headers that are not of this connection only", async () => {
  using client = await open("/raw", ["a", "b"], { headers: { Cookie: "a=1", "X-Hop": "1" } });
  expect(client.socket.protocol).toBe("b");
  expect(device.headers[0]).toMatchObject({ cookie: "a=1", host: `127.0.0.1:${device.port}`, "sec-websocket-protocol": "a,b" });
});

test("a ping is answered, and does not pass", async () => {
  using client = await open("/raw");
  client.atDevice.on("ping", () => device.got.push("ping"));
  const answered = once(client.socket, "pong");
  client.socket.ping("x");
  expect(String((await answered)[0])).toBe("x");
  expect(told()).toEqual([]);
});

test("the code of a close passes, to the device without its reason", async () => {
  {
    using client = await open("/raw");
    const closed = once(client.atDevice, "close");
    client.socket.close(4001, "/reboot");
    expect((await closed).map(String)).toEqual(["4001", ""]);
  }
  using client = await open("/raw");
  const closed = once(client.socket, "close");
  client.atDevice.close(4002, "bye");
  expect((await closed).map(String)).toEqual(["4002", "bye"]);
});

test("one side that vanishes ends the other", async () => {
  using client = await open("/raw");
  const closed = once(client.atDevice, "close");
  client.socket.terminate();
  await closed;
});

describe("a WebSocket is refused", () => {
  const HANDSHAKE =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

  async function ask(request: string): Promise<string> {
    using client = new RawClient(world.filter.address);
    await client.send(request);
    return await client.ended;
  }

  test.each([
    ["without a rule for it", `GET /other HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE}\r\n`, 403],
    ["by a rule", `GET /Camera/ HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE}\r\n`, 403],
    ["with another method", `POST /raw HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE}\r\n`, 403],
    ["with a body", `GET /raw HTTP/1.1\r\nHost: robot\r\nContent-Length: 3\r\n${HANDSHAKE}\r\nabc`, 400],
    ["with HTTP/1.0", `GET /raw HTTP/1.0\r\nHost: robot\r\n${HANDSHAKE}\r\n`, 400],
    ["in an older version", `GET /raw HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE.replace("13", "8")}\r\n`, 400],
    ["with two keys", `GET /raw HTTP/1.1\r\nHost: robot\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAQ==\r\n${HANDSHAKE}\r\n`, 400],
    ["without a key", `GET /raw HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE.replace(/Sec-WebSocket-Key.*\r\n/, "")}\r\n`, 400],
    ["together with another protocol", `GET /raw HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE.replace("websocket", "h2c, websocket")}\r\n`, 403],
  ])("%s", async (_name, request, status) => {
    expect(await ask(request)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*"because"`));
    expect(device.server.clients.size).toBe(0);
  });

  test("when the device does not want it", async () => {
    device.refuse();
    expect(await ask(`GET /raw HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE}\r\n`)).toMatch(/^HTTP\/1\.1 502 [^]*it answered 400/);
  });

  test("and what follows an accepted one is no HTTP any more", async () => {
    const answer = await ask(
      `GET /raw HTTP/1.1\r\nHost: robot\r\n${HANDSHAKE}\r\nPOST /reboot HTTP/1.1\r\nHost: robot\r\nContent-Length: 0\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer).not.toContain("HTTP/1.1 200");
    expect(told()).toEqual([]);
  });
});

test("a handshake that the library refuses leaves no WebSocket to the device behind", async () => {
  const left = once(device.server, "connection").then(([socket]) => once(socket as WebSocket, "close"));
  const [host = "", port] = world.filter.address.split(":");
  const raw = connect({ host, port: Number(port) });
  raw.write(
    "GET /raw HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Extensions: ;\r\n\r\n",
  );
  const [answer] = (await once(raw, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
  raw.destroy();
  await left;
});
