import { connect } from "node:net";
import { silentLogger, systemClock } from "@hardshare/runtime";
import { afterEach, describe, expect, test } from "vitest";
import { fixedRules } from "../rules/live-rules.ts";
import { serialRules, SerialWorld } from "../testing/serial-world.ts";
import { startSerialFilter } from "./serial-filter.ts";

let world: SerialWorld;
afterEach(() => world[Symbol.asyncDispose]());

const RULES = String.raw`
messages: { limit: 32, realtime: ["!", "?"] }
refusal: "; refused by {rule}: {because}"
rules:
  - allow: G[01] X(?<x>-?\d+)
    groups: { x: { type: integer, minimum: -50, maximum: 50 } }
  - allow: "[!?]|M114"
  - block: M112
    because: the owner stops it
`;

/** What came at the device, once a line that marks the end of a test has. */
async function allThatCame(): Promise<string> {
  const client = world.connect();
  await client.send("M114\n");
  return (await world.device.receive("M114\n")).replace("M114\n", "");
}

describe("what goes to the device", () => {
  test("is what the rules allow, as it was sent; the rest is answered with the refusal line", async () => {
    world = await SerialWorld.start(RULES);
    const client = world.connect();
    await client.send("G0 X1\nG0 X99\r\nM112\nG1 X-2\r\n");
    expect(await client.receive("the owner stops it\r\n")).toMatch(
      /^; refused by G\[01\].*: \/x must be <= 50\r\n; refused by M112: the owner/,
    );
    await world.device.receive("X-2\r\n");
    expect(await allThatCame()).toBe("G0 X1\nG1 X-2\r\n");
    expect(world.decisions.slice(0, 2)).toEqual([
      {
        direction: "in",
        decision: "allow",
        mode: "enforce",
        rule: expect.any(String),
        summary: "G0 X1",
        message: { line: "G0 X1", groups: { x: 1 } },
      },
      expect.objectContaining({ direction: "in", decision: "block", summary: "G0 X99", because: "/x must be <= 50" }),
    ]);
  });

  test("comes at once for a real-time byte, before the line in which it stands", async () => {
    world = await SerialWorld.start(RULES);
    const client = world.connect();
    await client.send("G0 X");
    await client.send("!");
    expect(await world.device.receive("!")).toBe("!");
    await client.send("7\n");
    expect(await world.device.receive("\n")).toBe("!G0 X7\n");
  });

  test("is nothing of a line that is too long", async () => {
    world = await SerialWorld.start(RULES);
    const client = world.connect();
    await client.send(`${"M114".padStart(33)}!\nG0 X3\n`);
    await client.receive("longer than 32 bytes");
    expect(await world.device.receive("X3\n")).toBe("!G0 X3\n");
    expect(world.decisions[0]).toMatchObject({ rule: "strict", decision: "block", summary: expect.stringMatching(/^ {28}.*…$/) });
  });

  test("is nothing of a line that its client did not end", async () => {
    world = await SerialWorld.start(RULES);
    const client = world.connect();
    await client.send("G0 X5");
    client.socket.end();
    await client.ended;
    expect(await allThatCame()).toBe("");
  });

  test("is whole lines in turn when several clients send at the same time", async () => {
    world = await SerialWorld.start(RULES);
    const [one, two] = [world.connect(), world.connect()];
    for (let turn = 0; turn < 20; turn += 1) {
      await Promise.all([one.send("G0 "), two.send("G1 ")]);
      await Promise.all([one.send("X1\n"), two.send("X2\r\n")]);
    }
    const came = await world.device.receiveUntil((text) => text.split("\n").length > 40);
    expect(
      came
        .split("\n")
        .map((line) => line.trimEnd())
        .toSorted(),
    ).toEqual(["", ...Array(20).fill("G0 X1"), ...Array(20).fill("G1 X2")]);
  });

  test("is judged when the device takes it, not before", async () => {
    world = await SerialWorld.start("{ messages: { limit: 4096 }, default: allow }");
    world.device.stall(true);
    const client = world.connect();
    const line = `${"x".repeat(4000)}\n`;
    for (let sent = 0; sent < 50; sent += 1) client.socket.write(line);
    await expect.poll(() => world.decisions.length).toBeGreaterThan(1);
    world.reload("{ messages: { limit: 4096 }, rules: [] }");
    const judgedBefore = world.decisions.length;
    world.device.stall(false);
    await expect.poll(() => world.decisions.length).toBe(50);
    expect(world.decisions.filter(({ decision }) => decision === "allow")).toHaveLength(judgedBefore);
    expect(world.device.received).toBe(line.repeat(judgedBefore));
  });
});

describe("what the device says", () => {
  test("goes to all clients as it comes, every byte", async () => {
    world = await SerialWorld.start(RULES);
    const clients = [world.connect(), world.connect()];
    const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("");
    for (const client of clients) {
      await client.send("?");
    }
    await world.device.receive("??");
    world.device.say(bytes);
    for (const client of clients) expect(await client.receive("\xff")).toBe(bytes);
  });

  test("is judged line by line when there are rules for it", async () => {
    world = await SerialWorld.start("{ default: allow, output: { rules: [{ block: 'key=.*' }] } }");
    const client = world.connect();
    await client.send("\n");
    await world.device.receive("\n");
    world.device.say("ok\r\nkey=1");
    world.device.say("234\r\nready\n");
    expect(await client.receive("ready\n")).toBe("ok\r\nready\n");
    expect(world.decisions.at(-2)).toMatchObject({ direction: "out", decision: "block", summary: "key=1234" });
  });

  test("is judged as input when a client sends it back", async () => {
    world = await SerialWorld.start(RULES);
    const client = world.connect();
    client.socket.on("data", (bytes: Buffer) => client.socket.write(bytes));
    await client.send("M114\n");
    await world.device.receive("M114\n");
    world.device.say("M112\r\n");
    await expect.poll(() => world.decisions.some(({ summary }) => summary === "M112")).toBe(true);
    expect(await allThatCame()).not.toContain("M112");
  });
});

test("on trial everything passes, unchanged, but what is ambiguous", async () => {
  world = await SerialWorld.start("{ mode: shadow, messages: { limit: 8 }, rules: [{ allow: 'X(?<x>\\d+)', clamp: { x: [0, 5] } }] }");
  const client = world.connect();
  await client.send("X9\nno\n123456789\nend\n");
  expect(await world.device.receive("end\n")).toBe("X9\nno\nend\n");
  expect(world.decisions.map(({ decision, mode }) => [decision, mode])).toEqual([
    ["allow", "shadow"],
    ["block", "shadow"],
    ["block", "enforce"],
    ["block", "shadow"],
  ]);
});

test("other rules hold for the next message; with another framing a client that is within a message is cut", async () => {
  world = await SerialWorld.start(RULES);
  const [client, midway] = [world.connect(), world.connect()];
  await midway.send("G0 X2\nG0");
  await world.device.receive("X2\n"); // so the filter has read what follows, too
  await client.send("G0 X1\n");
  await world.device.receive("X1\n");
  world.reload("{ messages: { end: [';'] }, rules: [{ allow: A }] }");
  await client.send("G0 X1\nA;A;");
  expect(await world.device.receive("A;")).toBe("G0 X2\nG0 X1\nA;");
  await midway.send(" X1\n");
  expect(await midway.ended).toBe("");
});

describe("a device that is unplugged", () => {
  test("cuts its clients, and is served again when it is back: what was sent meanwhile is never written", async () => {
    world = await SerialWorld.start(RULES);
    const client = world.connect();
    await client.send("G0 X1\nG0 X2");
    await world.device.receive("X1\n");
    await world.device.unplug();
    await client.ended;
    const early = world.connect();
    await early.send("G0 X3\n").catch(() => {});
    expect(await early.ended).toBe("");
    await world.device.plugIn();
    await expect
      .poll(async () => {
        const late = world.connect();
        await late.send("M114\n").catch(() => {});
        return Promise.race([late.ended.then(() => "cut"), world.device.receive("M114\n").then(() => "served")]);
      })
      .toBe("served");
    expect(world.device.received).toBe("G0 X1\nM114\n");
  });
});

test.each([
  ["missing", "/dev/ttyNone", "device_missing", "plug it in"],
  ["no device", "/etc/hostname", "device_unusable", "is no device file"],
  ["no serial device", "/dev/null", "device_unusable", "is no serial device"],
])("a device that is %s is told with what to do", async (_name, device, code, words) => {
  world = await SerialWorld.start(RULES);
  const start = startSerialFilter({
    host: "127.0.0.1",
    port: 0,
    device,
    baud: 9600,
    rules: fixedRules(serialRules("")),
    onDecision: () => {},
    clock: systemClock,
    logger: silentLogger,
  });
  await expect(start).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
});

test("a device that another filter has open is busy, and who has it is told", async () => {
  world = await SerialWorld.start(RULES);
  const start = startSerialFilter({
    host: "127.0.0.1",
    port: 0,
    device: world.device.path,
    baud: 9600,
    rules: fixedRules(serialRules("")),
    onDecision: () => {},
    clock: systemClock,
    logger: silentLogger,
  });
  await expect(start).rejects.toMatchObject({ code: "device_unusable", message: expect.stringContaining("is busy") });
});

test("a client that does not read holds up the device alone, but not others for long; nothing is lost to those who read", async () => {
  world = await SerialWorld.start(RULES);
  const reader = world.connect();
  await reader.send("?");
  await world.device.receive("?");
  const lazy = connect({ port: reader.socket.remotePort ?? 0, host: "127.0.0.1" });
  lazy.on("error", () => {});
  lazy.pause();
  lazy.write("?");
  await world.device.receive("??");
  const closed = new Promise<void>((resolve) => lazy.once("close", () => resolve()));
  const total = 12 * 1024 * 1024;
  const sent = world.device.sayMuch(total);
  let count = 0;
  const came = new Promise<void>((resolve) => {
    reader.socket.on("data", (bytes: Buffer) => {
      count += bytes.length;
      if (count === total) resolve();
    });
  });
  await sent;
  await came;
  lazy.resume();
  await closed;
});

describe("with `answer`, so that firmware which drops what does not fit its buffer gets one message at a time", () => {
  const PACED = RULES.replace("refusal:", "answer: ok.*|error:.*\nrefusal:");

  test("a message waits for the answer to the one before, whoever sent it; real-time bytes do not, wherever they stand", async () => {
    world = await SerialWorld.start(PACED);
    const [one, other] = [world.connect(), world.connect()];
    await one.send("G0 X1\nG0 X2\r\nG0 X3\rG0 X");
    await world.device.receive("X1\n");
    await other.send("G1 X9\n?");
    await one.send("4!\n");
    expect(await world.device.receiveUntil((got) => got.includes("!") && got.includes("?"))).toMatch(/^G0 X1\n(?:\?!|!\?)$/);
    const before = world.device.received;
    world.device.say("busy\r\nok");
    world.device.say("\r\n");
    await world.device.receiveUntil((got) => got.length > before.length);
    for (const answer of ["ok T:21\n", "error:2\n", "ok\n"]) {
      const had = world.device.received;
      world.device.say(answer);
      await world.device.receiveUntil((got) => got.length > had.length);
    }
    world.device.say("ok\nok\n"); // more than it owes
    expect(await allThatCame()).toMatch(/^G0 X1\n(?:\?!|!\?)/);
    const lines = world.device.received.replace(/[!?]/g, "").trim().split("\n");
    expect(lines.filter((line) => line.startsWith("G0"))).toEqual(["G0 X1", "G0 X2", "G0 X3", "G0 X4"]);
    expect(lines.toSorted()).toEqual(["G0 X1", "G0 X2", "G0 X3", "G0 X4", "G1 X9", "M114"]);
    for (const client of [one, other]) expect(await client.receive("busy")).toContain("busy"); // what the device says goes to all
  });

  test("an empty line is refused, and a device that is plugged in again owes nothing", async () => {
    world = await SerialWorld.start(`answer: ok\nrefusal: "no: {because}"\ndefault: allow\n`);
    const client = world.connect();
    await client.send("\r\n \nG0\nG1\n");
    expect(await client.receive("gives\r\nno: an empty")).toContain("not every device gives");
    expect(await world.device.receive("\n")).toBe("G0\n");
    const ended = client.ended;
    await world.device.unplug();
    await ended;
    await world.device.plugIn();
    await expect
      .poll(async () => {
        const again = world.connect();
        await again.send("G2\n");
        return world.device.received.includes("G2\n");
      })
      .toBe(true);
  });
});
