import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { parseHttpRules } from "../rules/http-rules.ts";
import { ask, type FilterWorld, makeLimits, startLiveFilter, startWorld } from "../testing/filter-world.ts";
import { RawClient } from "../testing/raw-client.ts";
import { startRecordingDevice } from "../testing/recording-device.ts";

const DRIVE = `
rules:
  - allow: POST /drive
    body:
      type: object
      additionalProperties: false
      required: [speed]
      properties: { speed: { type: number, minimum: -12, maximum: 12 }, note: { type: string } }
    clamp: { speed: [-8, 8] }
    body_limit: 100
  - allow: GET /camera/{name}
    path: { name: { enum: [left, right] } }
    query: { Width: { type: integer, minimum: 1, maximum: 800 } }
  - allow: POST /upload
`;

/** What a client is answered, and what the device got. */
async function send(world: FilterWorld, method: string, path: string, body?: string, headers: Record<string, string> = {}) {
  const { answered } = ask(world.filter, method, path, body === undefined ? undefined : Readable.from([Buffer.from(body)]), headers);
  const answer = await answered;
  return { status: answer.statusCode, headers: answer.headers, text: await text(answer), atDevice: world.device.requests.splice(0) };
}

describe("a body that a rule judges", () => {
  test("reaches the device as it was parsed, as JSON, and with its numbers in range", async () => {
    await using world = await startWorld(DRIVE);
    const { status, atDevice } = await send(world, "POST", "/drive", ' { "note" : "a\\u0062",\n"speed": 1.20e1 } ', {
      "Content-Type": "text/plain",
    });
    expect([status, atDevice]).toEqual([200, ['POST /drive {"note":"ab","speed":8}']]);
    expect(world.device.connections[0]?.bytes).toMatch(/\r\nContent-Type: application\/json\r\nContent-Length: 23\r\n\r\n/);
    expect(world.decisions).toMatchObject([
      {
        decision: "allow",
        rule: "POST /drive",
        because: "speed brought into -8 to 8",
        message: { method: "POST", path: "/drive", body: { speed: 8 } },
      },
    ]);
  });

  test.each([
    ["does not fit", '{"speed":13}', "/speed must be <= 12"],
    ["has a field that nobody knows", '{"speed":1,"x":1}', '"x"'],
    ["lacks a field", "{}", "speed"],
    ["is missing", "", "a JSON body is missing"],
    ["is no JSON", "speed=1", "no JSON"],
    ["has a field twice", '{"speed":1,"speed":99}', "given twice"],
    ["has a field twice but for letter case", '{"speed":1,"Speed":99}', "given twice"],
    ["has a number that no double holds", '{"speed":1e999}', "kept as it is"],
    ["holds NaN", '{"speed":NaN}', "no JSON"],
    ["is nested deeply", `{"speed":${"[".repeat(44)}1${"]".repeat(44)}}`, "speed"],
  ])("that %s is refused, with the reason", async (_name, body, because) => {
    await using world = await startWorld(DRIVE);
    const { status, text } = await send(world, "POST", "/drive", body);
    expect(status).toBe(403);
    expect(JSON.parse(text)).toEqual({ error: "refused by filter", rule: "POST /drive", because: expect.stringContaining(because) });
    expect(world.device.connections).toEqual([]);
  });

  test.each([
    ["compressed", { "Content-Encoding": "gzip" }],
    ["in another character set", { "Content-Type": "application/json; charset=utf-16" }],
    ["of another kind", { "Content-Type": "multipart/form-data; boundary=x" }],
  ])("that is said to be %s is refused", async (_name, headers: Record<string, string>) => {
    await using world = await startWorld(DRIVE);
    expect((await send(world, "POST", "/drive", '{"speed":1}', headers)).status).toBe(403);
    expect(world.device.connections).toEqual([]);
  });

  test.each([
    ["by its length", { "Content-Length": "120" }],
    ["in chunks", {}],
  ])("above the limit is refused with 413, %s", async (_name, headers: Record<string, string>) => {
    await using world = await startWorld(DRIVE);
    expect((await send(world, "POST", "/drive", `{"speed":1,"note":"${"x".repeat(99)}"}`, headers)).status).toBe(413);
    expect(world.device.connections).toEqual([]);
  });

  test("is asked for when the client waits for 100 Continue", async () => {
    await using world = await startWorld(DRIVE);
    using client = new RawClient(world.filter.address);
    await client.send("POST /drive HTTP/1.1\r\nHost: robot\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    await client.receive("100 Continue");
    await client.send('{"speed":1}');
    expect(await client.receive("200 OK")).toContain("200 OK");
    expect(world.device.requests).toEqual(['POST /drive {"speed":1}']);
  });

  test("lets the connection to the device go on only when no server could take it for a request", async () => {
    await using world = await startWorld(DRIVE);
    using client = new RawClient(world.filter.address);
    const post = (body: string) => `POST /drive HTTP/1.1\r\nHost: robot\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    await client.send(post('{"speed":1}') + post('{"speed":2,"note":"GET /x"}') + post('{"speed":3,"note":"/x"}') + post('{"speed":4}'));
    await client.receive("200 OK", 4);
    expect(world.device.requests).toHaveLength(4);
    expect(world.device.connections.map(({ bytes }) => (bytes.match(/speed":\d/g) ?? []).join())).toEqual([
      'speed":1,speed":2',
      'speed":3',
      'speed":4',
    ]);
  });

  test("may bring no query along that could stand for its fields", async () => {
    await using world = await startWorld(DRIVE);
    expect((await send(world, "POST", "/drive?speed=99", '{"speed":1}')).status).toBe(403);
    expect((await send(world, "POST", "/upload?speed=99", "anything")).atDevice).toEqual(["POST /upload?speed=99 anything"]);
  });
});

describe("path and query", () => {
  test.each([
    ["/camera/left?Width=800", "GET /camera/left?Width=800 "],
    ["/camera/left?Width=8e2", "GET /camera/left?Width=800 "],
    ["/camera/right", "GET /camera/right "],
  ])("%s passes, written anew", async (path, atDevice) => {
    await using world = await startWorld(DRIVE);
    expect((await send(world, "GET", path)).atDevice).toEqual([atDevice]);
  });

  test.each([
    "/camera/top",
    "/camera/left?Width=801",
    "/camera/left?Width=1.5",
    "/camera/left?Width=0x10",
    "/camera/left?Width=",
    "/camera/left?Width",
    "/camera/left?Width=1&Width=900",
    "/camera/left?Width=1&width=900",
    "/camera/left?Width=1&Width[]=900",
    "/camera/left?Width=1;Width=900",
    "/camera/left?Height=1",
    "/camera/left?%57idth=900",
    "/camera/left?Width=+1",
    "/camera/left?Width=%31%00",
  ])("%s is refused", async (path) => {
    await using world = await startWorld(DRIVE);
    expect((await send(world, "GET", path)).status).toBe(403);
    expect(world.device.connections).toEqual([]);
  });
});

test.each(["1e-7", "0.0000001", "1e22"])("a number of a query that is written again with an exponent (%s) is refused", async (number) => {
  await using world = await startWorld("rules: [{ allow: GET /a, query: { speed: { type: number, minimum: 0 } } }]");
  expect((await send(world, "GET", `/a?speed=${number}`)).status).toBe(403);
  expect((await send(world, "GET", "/a?speed=2e3")).atDevice).toEqual(["GET /a?speed=2000 "]);
});

test("a rate is kept over all connections, and a budget counts what the body says", async () => {
  await using world = await startWorld(`
rules:
  - { allow: GET /a, rate: 2/h }
  - allow: POST /b
    body: { type: object, required: [joules], properties: { joules: { type: number, minimum: 0 } } }
    budget: { at_most: 10, of: joules }
`);
  expect(
    [await send(world, "GET", "/a"), await send(world, "GET", "/a"), await send(world, "GET", "/a")].map(({ status }) => status),
  ).toEqual([200, 200, 403]);
  const spend = async (joules: number) => (await send(world, "POST", "/b", JSON.stringify({ joules }))).status;
  expect([await spend(6), await spend(5), await spend(4), await spend(0.5)]).toEqual([200, 403, 200, 403]);
});

describe("answers", () => {
  const answering = (status: number, type: string, body: string) =>
    startWorld(
      `
response: { drop_headers: [X-Secret] }
rules:
  - allow: GET /a
    response: { status: [2xx, 404], remove: [password, /wifi/*/key] }
`,
      (_request, response) => response.writeHead(status, { "Content-Type": type, "X-Secret": "1", ETag: "x" }).end(body),
    );

  test("lose the headers and fields that the owner keeps", async () => {
    const body = { name: "a", password: "b", wifi: [{ ssid: "c", key: "d" }, { key: "e" }] };
    await using world = await answering(200, "application/json", JSON.stringify(body));
    const answer = await send(world, "GET", "/a");
    expect(answer.text).toBe('{"name":"a","wifi":[{"ssid":"c"},{}]}');
    expect(answer.headers).toMatchObject({ "content-length": String(answer.text.length), "content-type": "application/json" });
    expect(answer.headers).not.toHaveProperty("x-secret");
    expect(world.decisions).toMatchObject([{ direction: "in" }, { direction: "out", decision: "allow", because: "3 fields were removed" }]);
  });

  test.each([
    ["another status", 500, "application/json", "{}"],
    ["no JSON", 200, "text/html", "<password>"],
  ])("with %s become 502 with the reason", async (_name, status, type, body) => {
    await using world = await answering(status, type, body);
    const answer = await send(world, "GET", "/a");
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      502,
      { error: "refused by filter", rule: "GET /a", because: expect.any(String) },
    ]);
    expect(answer.text).not.toContain("<password>");
    expect(world.decisions).toMatchObject([{ direction: "in" }, { direction: "out", decision: "block" }]);
  });

  test("that are pictures pass as they are", async () => {
    await using world = await answering(200, "image/png", "picture");
    expect((await send(world, "GET", "/a")).text).toBe("picture");
  });
});

describe("on trial", () => {
  test("nothing that the rules decide is blocked or changed, and all of it told", async () => {
    await using world = await startWorld(`mode: shadow\n${DRIVE}`);
    expect((await send(world, "POST", "/drive", ' {"speed": 99}')).atDevice).toEqual(['POST /drive  {"speed": 99}']);
    expect((await send(world, "POST", "/drive", ' {"speed": 9}')).atDevice).toEqual(['POST /drive  {"speed": 9}']);
    expect((await send(world, "POST", "/drive", "x".repeat(5000))).atDevice).toEqual([`POST /drive ${"x".repeat(5000)}`]);
    expect((await send(world, "GET", "/reboot")).atDevice).toEqual(["GET /reboot "]);
    expect(world.decisions.map(({ mode, decision }) => `${mode} ${decision}`)).toEqual([
      "shadow block",
      "shadow allow",
      "shadow block",
      "shadow block",
    ]);
  });

  test("what is ambiguous is refused all the same", async () => {
    await using world = await startWorld("mode: shadow");
    using client = new RawClient(world.filter.address);
    await client.send("POST /a HTTP/1.1\r\nHost: robot\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect(await client.ended).toMatch(/^HTTP\/1\.1 400 /);
    expect(world.device.connections).toEqual([]);
  });
});

test("new rules are in force for the next message of a connection", async () => {
  await using device = await startRecordingDevice();
  const limits = makeLimits();
  await using world = await startLiveFilter({ host: "127.0.0.1", port: device.port }, parseHttpRules("default: allow", "f", limits));
  using client = new RawClient(world.filter.address);
  await client.send("GET /a HTTP/1.1\r\nHost: robot\r\n\r\n");
  await client.receive("200 OK");
  world.setRules(parseHttpRules("default: block", "f", limits));
  await client.send("GET /a HTTP/1.1\r\nHost: robot\r\n\r\n");
  expect(await client.ended).toMatch(/HTTP\/1\.1 403 /);
});

describe("new rules, while a body comes", () => {
  const BEGUN = "POST /drive HTTP/1.1\r\nHost: robot\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n";

  test.each([
    ["block what those before allowed", "default: block", "403", []],
    ["judge its values", DRIVE.replaceAll("12", "0"), "403", []],
    ["have a smaller limit", DRIVE.replace("body_limit: 100", "body_limit: 5"), "413", []],
    ["bring its numbers into range", DRIVE.replace("[-8, 8]", "[0.5, 0.5]"), "200", ['POST /drive {"speed":0.5}']],
    ["let it pass unseen", "rules: [{ allow: POST /drive }]", "200", ['POST /drive {"speed":1}']],
  ])("%s: they hold for it", async (_name, rules, status, atDevice) => {
    await using device = await startRecordingDevice();
    const limits = makeLimits();
    await using world = await startLiveFilter({ host: "127.0.0.1", port: device.port }, parseHttpRules(DRIVE, "f", limits));
    using client = new RawClient(world.filter.address);
    await client.send(BEGUN);
    await client.receive("100 Continue");
    world.setRules(parseHttpRules(rules, "f", limits));
    await client.send('{"speed":1}');
    expect(await client.receive(`HTTP/1.1 ${status} `)).toContain(status);
    expect(device.requests).toEqual(atDevice);
  });

  test("end a trial: a body that is too large to be judged is refused", async () => {
    await using device = await startRecordingDevice();
    const limits = makeLimits();
    const onTrial = parseHttpRules(`mode: shadow\n${DRIVE}`, "f", limits);
    await using world = await startLiveFilter({ host: "127.0.0.1", port: device.port }, onTrial);
    using client = new RawClient(world.filter.address);
    await client.send("POST /drive HTTP/1.1\r\nHost: robot\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
    await client.receive("100 Continue");
    world.setRules(parseHttpRules(DRIVE, "f", limits));
    await client.send(`ff\r\n${"x".repeat(255)}\r\n0\r\n\r\n`);
    expect(await client.receive("HTTP/1.1 413 ")).toContain("the most that is judged");
    expect(device.connections).toEqual([]);
  });
});
