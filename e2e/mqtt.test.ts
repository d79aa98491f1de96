import { spawn } from "node:child_process";
import { type EventEmitter, once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { type Mosquitto, startMosquitto } from "@hardshare/testkit/mosquitto";
import mqtt from "mqtt";
import { generate, type IConnectPacket, type Packet } from "mqtt-packet";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess } from "./harness/commands.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  ssh_config: string;
}

const RULES = `
rules:
  - allow: publish robots/+/speed
    payload: { type: object, required: [speed], properties: { speed: { type: number } } }
    clamp: { speed: [-8, 8] }
  - allow: publish gone
  - allow: subscribe robots/+/state
`;

const CONNECT: IConnectPacket = { cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clientId: "same", clean: false, keepalive: 0 };
const publish = (messageId: number, topic: string, payload: string): Packet => ({
  cmd: "publish",
  topic,
  payload,
  qos: 1,
  messageId,
  dup: false,
  retain: false,
});

describeWithContainers("a broker behind the mqtt filter", () => {
  let world: World;
  let owner: Person;
  let host: OwnHost;
  let broker: Mosquitto;
  let deployment: string;
  let launched: Launched;

  beforeAll(async () => {
    world = await World.create();
    broker = await startMosquitto();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    await owner.prepare("init", "--server", world.ready.url);
    const [rules, password] = [join(world.folder, "lab.rules.yaml"), join(world.folder, "broker.password")];
    await writeFile(rules, RULES);
    await writeFile(password, `${broker.credentials.password}\n`, { mode: 0o600 });
    const { username } = broker.credentials;
    deployment = await host.share(
      `provider: podman\nservices: [{ name: BROKER, filter: mqtt, target: '127.0.0.1:${broker.port}', username: ${username}, password_file: ${password}, rules: ${rules} }]\n`,
    );
    await host.advertise();
    launched = await owner.json<Launched>("launch", deployment, "--wait");
  });

  afterAll(async () => {
    await host?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  const inside = (script: string) =>
    expectSuccess("ssh", ["-F", launched.ssh_config, deployment, "bash", "-s"], { env: owner.env, input: script });
  /** Sends packets from inside, and reads so many bytes of answers as hexadecimal digits. */
  const talk = (packets: readonly Packet[], count: number) => {
    const stream = Buffer.concat(packets.map((packet) => generate(packet)));
    const bytes = Array.from(stream, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`);
    return `exec 3<>"/dev/tcp/\${BROKER/://}"; printf '${bytes.join("")}' >&3; head -c ${count} <&3 | od -An -v -tx1 | tr -d ' \\n'`;
  };

  test("a program inside publishes what the rules allow, and is told what it may not subscribe to", async () => {
    const subscribe: Packet = { cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "robots/#", qos: 0 }] };
    const packets = [CONNECT, publish(1, "robots/a/speed", '{"speed": 99}'), publish(2, "robots/a/reboot", "now"), subscribe];
    const answers = await inside(talk(packets, 17));
    expect(answers.slice(0, 8)).toBe("20020000");
    for (const answer of ["40020001", "40020002", "9003000380"]) expect(answers).toContain(answer);
    await broker.heard('robots/a/speed {"speed":8}');
    expect(broker.ledger).toEqual(['robots/a/speed {"speed":8}']);
  });

  test("a real client library gets in by an SSH tunnel, and hears what it may", async () => {
    const address = await inside('printf %s "$BROKER"');
    const ssh = spawn("ssh", ["-F", launched.ssh_config, "-W", address, deployment], {
      env: owner.env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    const stream = Duplex.from({ readable: ssh.stdout, writable: ssh.stdin });
    const client = new mqtt.MqttClient(() => stream, { protocolVersion: 5, reconnectPeriod: 0 });
    await once(client as unknown as EventEmitter, "connect");
    await client.subscribeAsync("robots/+/state", { qos: 1 });
    await expect(client.subscribeAsync("#")).rejects.toThrow();
    await expect(client.publishAsync("robots/a/reboot", "now", { qos: 1 })).rejects.toThrow(/Not authorized/);
    const message = once(client as unknown as EventEmitter, "message");
    await broker.device.publishAsync("robots/a/state", "idle", { qos: 1 });
    expect(String((await message)[1])).toBe("idle");
    await client.endAsync();
    if (ssh.exitCode === null) await once(ssh, "exit");
  });

  test("at the end of the instance a will stays unsaid", async () => {
    const will = { topic: "gone", payload: Buffer.from("gone"), qos: 1 as const, retain: false };
    // What stays behind inside keeps the connection open.
    const script = `${talk([{ ...CONNECT, will }], 4)}\nsetsid sleep 600 < /dev/null > /dev/null 2>&1 & disown`;
    expect(await inside(script)).toBe("20020000");
    await expectAnswer(owner.run(["terminate", launched.id]));
    broker.ledger.length = 0;
    await broker.device.publishAsync("done", "1", { qos: 2 });
    await broker.heard("done 1");
    expect(broker.ledger).toEqual(["done 1"]);
  });
});
