import { type EventEmitter, once } from "node:events";
import { connect as connectSocket } from "node:net";
import { type Mosquitto, startMosquitto } from "@hardshare/testkit/mosquitto";
import type { IPublishPacket, MqttClient } from "mqtt";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startMqttWorld } from "../testing/mqtt-world.fixture.ts";

const RULES = `rules:
  - allow: publish robots/+/speed
    payload: { type: object, additionalProperties: false, properties: { speed: { type: number } } }
    clamp: { speed: [-8, 8] }
  - allow: publish robots/+/name
    retain: true
    qos: 1
  - allow: subscribe robots/+/state
  - allow: subscribe done
  - allow: publish done
  - block: "subscribe #"
`;

let broker: Mosquitto;
let round = 0;

beforeAll(async () => {
  broker = await startMosquitto();
});
afterAll(() => broker[Symbol.asyncDispose]());
beforeEach(async () => {
  round += 1;
  await broker.device.publishAsync("begin", String(round), { qos: 1 });
  await broker.heard(`begin ${round}`); // and all that was published before
  broker.ledger.length = 0;
});

/** What reached the broker until now, by a message that follows all others. */
async function ledgerAfter(client: MqttClient): Promise<string[]> {
  await client.publishAsync("done", String(round), { qos: 1 });
  await broker.heard(`done ${round}`);
  return broker.ledger.filter((each) => each !== `done ${round}`);
}

/** The client is an emitter of events, which its types do not say. */
const next = (client: MqttClient, event: string) => once(client as unknown as EventEmitter, event);

/** The next message that a client gets. */
async function nextMessage(client: MqttClient): Promise<string> {
  const [topic, payload] = (await next(client, "message")) as [string, Buffer, IPublishPacket];
  return `${topic} ${payload.toString()}`;
}

describe.each([
  ["3.1.1", 4],
  ["5", 5],
] as const)("a client of version %s", (_name, protocolVersion) => {
  test.each([0, 1, 2] as const)("publishes with QoS %i what the rules allow, written anew, and nothing else", async (qos) => {
    await using world = await startMqttWorld(broker, RULES.replaceAll("qos: 1", "qos: 2"));
    const client = await world.connect({ protocolVersion });
    const publish = (topic: string, payload: string) =>
      client.publishAsync(topic, payload, { qos }).then(
        () => "done",
        (error: Error) => error.message,
      );
    expect(await publish("robots/a/speed", ' {"speed": 1.50} ')).toBe("done");
    expect(await publish("robots/a/speed", '{"speed": 99}')).toBe("done");
    const refusal = protocolVersion === 5 && qos > 0 ? expect.stringMatching(/^Publish error: Not authorized/) : "done";
    expect(await publish("robots/a/speed", '{"speed": "fast"}')).toEqual(refusal);
    expect(await publish("robots/a/other", "1")).toEqual(refusal);
    expect(await ledgerAfter(client)).toEqual(['robots/a/speed {"speed":1.5}', 'robots/a/speed {"speed":8}']);
    expect(world.refused()).toEqual([
      `publish${qos === 0 ? "" : ` -q ${qos}`} robots/a/speed {"speed": "fast"}: /speed must be number`,
      `publish${qos === 0 ? "" : ` -q ${qos}`} robots/a/other 1: no filter rule of the owner allows this topic`,
    ]);
  });

  test("subscribes to what is covered by the rules, and gets nothing else", async () => {
    await using world = await startMqttWorld(broker, RULES);
    const client = await world.connect({ protocolVersion });
    const granted = await client.subscribeAsync(["robots/+/state", "robots/a/state"], { qos: 2 });
    expect(granted.map(({ topic, qos }) => `${topic} ${qos}`)).toEqual(["robots/+/state 2", "robots/a/state 2"]);
    const refused = await client.subscribeAsync({ "robots/#": { qos: 0 }, done: { qos: 0 } }).catch((error: Error) => error.message);
    expect(JSON.stringify(refused)).toMatch(/128|135|error/i);
    const got: string[] = [];
    client.on("message", (topic, payload) => got.push(`${topic} ${payload.toString()}`));
    await broker.device.publishAsync("robots/a/secret", "x", { qos: 1 });
    await broker.device.publishAsync("robots/a/state", "1", { qos: 2 });
    await client.publishAsync("done", String(round), { qos: 1 });
    while (!got.includes(`done ${round}`) || !got.includes("robots/a/state 1")) await next(client, "message");
    expect(new Set(got)).toEqual(new Set(["robots/a/state 1", `done ${round}`]));
    await client.unsubscribeAsync(["robots/+/state", "robots/a/state"]);
    expect(world.refused()).toEqual(["subscribe robots/#: the owner's filter rules block this topic"]);
  });

  test("is told that the broker is away", async () => {
    await using world = await startMqttWorld({ ...broker, port: 1 }, RULES);
    await expect(world.connect({ protocolVersion })).rejects.toThrow(
      protocolVersion === 5 ? /Server unavailable/i : /Connection refused: Server unavailable/,
    );
  });

  test("leaves a will, judged like any other message, which stays with the filter until it is gone", async () => {
    await using world = await startMqttWorld(broker, RULES);
    const will = (topic: string, payload: string, more = {}) =>
      ({ topic, payload: Buffer.from(payload), qos: 2, retain: false, ...more }) as const;
    for (const wrong of [will("robots/a/other", "1"), will("robots/a/speed", "no JSON"), will("robots/a/speed", "{}", { retain: true })]) {
      await expect(world.connect({ protocolVersion, will: wrong })).rejects.toThrow(/Not authorized/);
    }
    const observer = await world.connect({ protocolVersion });
    const client = await world.connect({ protocolVersion, will: will("robots/a/speed", '{"speed":99}') });
    client.stream.destroy();
    await broker.heard('robots/a/speed {"speed":8}');
    const polite = await world.connect({ protocolVersion, will: will("robots/a/speed", '{"speed":3}') });
    await polite.endAsync();
    expect(await ledgerAfter(observer)).toEqual(['robots/a/speed {"speed":8}']);
  });

  test("may retain a message only where a rule says so", async () => {
    await using world = await startMqttWorld(broker, RULES);
    const client = await world.connect({ protocolVersion });
    await client.publishAsync("robots/a/speed", "{}", { retain: true });
    await client.publishAsync("robots/a/name", "joe", { retain: true });
    await client.publishAsync("robots/a/name", "", { retain: true });
    expect(await ledgerAfter(client)).toEqual(["robots/a/name joe (retained)", "robots/a/name  (retained)"]);
  });

  test("gets neither the owner's user name nor another client's session, whatever it says of itself", async () => {
    await using world = await startMqttWorld(broker, RULES);
    const said = { protocolVersion, clientId: "same", username: "eve", password: "guess", clean: false };
    const first = await world.connect({ ...said, ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: 1000 } } : {}) });
    await first.subscribeAsync("robots/+/state", { qos: 1 });
    const gone = next(first, "close");
    let hasSession: boolean | undefined;
    const second = await world.connect(said);
    second.once("connect", ({ sessionPresent }) => (hasSession = sessionPresent));
    await gone; // taken over
    await broker.device.publishAsync("robots/a/state", "for a session that is over", { qos: 1 });
    await second.subscribeAsync("done");
    const message = nextMessage(second);
    await second.publishAsync("done", "alone");
    expect(await message).toBe("done alone");
    expect(hasSession ?? false).toBe(false);
  });

  test("is judged by new rules as soon as they hold, also for what it subscribed to before", async () => {
    await using world = await startMqttWorld(broker, RULES);
    const client = await world.connect({ protocolVersion });
    await client.subscribeAsync(["robots/+/state", "done"], { qos: 1 });
    world.setRules(RULES.replace("allow: subscribe robots/+/state", "block: subscribe robots/+/state"));
    await broker.device.publishAsync("robots/a/state", "hidden", { qos: 2 });
    const message = nextMessage(client);
    await broker.device.publishAsync("done", "seen", { qos: 1 });
    expect(await message).toBe("done seen");
  });
});

test("a client of version 5 may use names for topics, which never reach the broker", async () => {
  await using world = await startMqttWorld(broker, RULES);
  const client = await world.connect({ autoUseTopicAlias: true });
  for (const speed of [1, 2, 3]) await client.publishAsync("robots/a/speed", JSON.stringify({ speed }), { qos: 1 });
  for (const topic of ["robots/a/other", "robots/a/other"]) await client.publishAsync(topic, "{}", { qos: 1 }).catch(() => {});
  expect(await ledgerAfter(client)).toEqual([1, 2, 3].map((speed) => `robots/a/speed {"speed":${speed}}`));
});

test("the broker's own topics and shared subscriptions pass only by a rule that names them", async () => {
  await using open = await startMqttWorld(broker, "default: allow");
  const client = await open.connect();
  for (const filter of ["$SYS/#", "$SYS/broker/version", "$share/group/robots/#", "+/a", "#"]) {
    const [granted] = await client.subscribeAsync(filter).catch(() => [{ qos: 135 }]);
    expect(`${filter} ${granted?.qos}`).toBe(`${filter} ${filter.startsWith("$") ? 135 : 0}`);
  }
  await using narrow = await startMqttWorld(
    broker,
    "rules: [{ allow: subscribe $share/group/robots/+ }, { allow: subscribe $SYS/broker/version }]",
  );
  const sharer = await narrow.connect();
  await sharer.subscribeAsync("$share/group/robots/a", { qos: 1 });
  const version = nextMessage(sharer);
  await sharer.subscribeAsync("$SYS/broker/version");
  expect(await version).toMatch(/^\$SYS\/broker\/version mosquitto version/);
  const shared = nextMessage(sharer);
  await broker.device.publishAsync("robots/a", "shared", { qos: 1 });
  expect(await shared).toBe("robots/a shared");
  await expect(sharer.subscribeAsync("$share/other/robots/a")).rejects.toThrow();
  await expect(sharer.subscribeAsync("robots/a")).rejects.toThrow();
});

test("on trial everything passes as it came, and is told", async () => {
  await using world = await startMqttWorld(broker, "mode: shadow");
  const client = await world.connect({ will: { topic: "gone", payload: Buffer.from(" will"), qos: 1, retain: false } });
  await client.subscribeAsync("echo/#", { qos: 2 });
  const message = nextMessage(client);
  await client.publishAsync("echo/a", " [ 1 ] ", { qos: 2, retain: true });
  await client.publishAsync("echo/a", "", { qos: 2, retain: true });
  expect(await message).toBe("echo/a  [ 1 ] ");
  client.stream.destroy();
  await broker.heard("gone  will");
  expect(world.decisions.every(({ mode }) => mode === "shadow")).toBe(true);
});

test("when the broker goes its clients are cut, and let in again when it is back only by a new connection", async () => {
  await using world = await startMqttWorld(broker, RULES);
  const client = await world.connect();
  const closed = next(client, "close");
  const gone = await startMosquitto();
  await using other = await startMqttWorld(gone, RULES);
  const lost = await other.connect();
  const told = next(lost, "disconnect");
  const cut = next(lost, "close");
  await gone[Symbol.asyncDispose]();
  expect((await told)[0]).toMatchObject({ reasonCode: expect.any(Number) });
  await cut;
  await client.endAsync();
  await closed;
});

test("at the end of the filter everything is cut, and no will is sent", async () => {
  const world = await startMqttWorld(broker, RULES);
  const client = await world.connect({ will: { topic: "done", payload: Buffer.from("will of the dead"), qos: 0, retain: false } });
  const closed = next(client, "close");
  client.on("error", () => {});
  await world[Symbol.asyncDispose]();
  await closed;
  await using after = await startMqttWorld(broker, RULES);
  expect(await ledgerAfter(await after.connect())).toEqual([]);
});

test("a client that only connects, and sends nothing, reaches no broker", async () => {
  await using world = await startMqttWorld({ ...broker, port: 1 }, RULES);
  const socket = connectSocket(world.port, "127.0.0.1");
  await once(socket, "connect");
  socket.end();
  await once(socket.resume(), "close");
  expect(world.decisions).toEqual([]);
});
