import { once } from "node:events";
import type { Socket } from "node:net";
import { ManualClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { TcpWorld } from "../testing/tcp-world.ts";

const isBlock = ({ decision }: { decision: string }) => decision === "block";

test("what is allowed passes both ways, and its decision is told once", async () => {
  await using world = await TcpWorld.start("rules: [{ allow: 127.0.0.0/8 }]");
  using client = world.connect();
  await client.send("read 1\n");
  expect(await client.receive("read 1\n")).toBe("read 1\n");
  expect(world.decisions).toEqual([
    { direction: "in", mode: "enforce", decision: "allow", rule: "127.0.0.0/8", summary: "connection from 127.0.0.1" },
  ]);
});

test("what is blocked is closed with its reason told, and nothing of it reaches the device", async () => {
  await using world = await TcpWorld.start("rules: [{ block: 127.0.0.1, because: not from here }, { allow: '*' }]");
  using client = world.connect();
  await client.send("write 1\n");
  expect(await client.ended).toBe("");
  expect(world.decisions).toMatchObject([{ decision: "block", rule: "127.0.0.1", because: "not from here" }]);
  expect(world.count).toBe(0);
});

test("with `mode: shadow` it is told, and passes", async () => {
  await using world = await TcpWorld.start("mode: shadow\nrules: [{ block: 127.0.0.1 }]");
  using client = world.connect();
  await client.send("write 1\n");
  await client.receive("write 1\n");
  expect(world.decisions).toMatchObject([{ decision: "block", mode: "shadow" }]);
});

test("a connection that is closed before it said anything is none: it uses nothing up, and reaches no device", async () => {
  await using world = await TcpWorld.start("rules: [{ allow: '*', rate: 1/d }]");
  for (const how of ["destroy", "end"] as const) {
    using knock = world.connect();
    await once(knock.socket, "connect");
    knock.socket[how]();
    await knock.ended;
  }
  using client = world.connect();
  await client.send("a");
  await client.receive("a");
  expect(world.count).toBe(1);
  using second = world.connect();
  await second.send("b");
  await second.ended;
  expect(await world.decided(isBlock)).toMatchObject({ because: expect.stringContaining("1/d") });
});

test("a device that speaks first is heard by a client that waits", async () => {
  await using world = await TcpWorld.start("default: allow", { serve: (socket) => void socket.end("hello\n") });
  using client = world.connect();
  expect(await client.receive("hello\n")).toBe("hello\n");
});

test("the end of one way ends that way only", async () => {
  await using world = await TcpWorld.start("default: allow", {
    serve: (socket) => {
      let heard = "";
      socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
      socket.once("end", () => socket.end(`heard ${heard}`));
    },
  });
  using client = world.connect();
  await client.send("all of it");
  client.socket.end();
  expect(await client.ended).toBe("heard all of it");
});

test("a device that is away is told, and the connection is closed", async () => {
  await using world = await TcpWorld.start("rules: [{ allow: '*' }]");
  await world.switchOff();
  using client = world.connect();
  await client.send("read 1\n");
  await client.ended;
  const away = await world.decided(isBlock);
  expect(away).toMatchObject({
    direction: "out",
    rule: "*",
    because: expect.stringMatching(/^the device can't be reached: .*ECONNREFUSED/),
  });
});

test("no more connections than allowed are open at the same time, and one that ends makes room", async () => {
  await using world = await TcpWorld.start("rules: [{ allow: '*', at_once: 1 }]");
  using first = world.connect();
  await first.send("a");
  await first.receive("a");
  using second = world.connect();
  await second.send("b");
  expect(await second.ended).toBe("");
  first.socket.end();
  await first.ended;
  using third = world.connect();
  await third.send("c");
  await third.receive("c");
});

test("a connection that carries nothing for the idle time is closed, and the reason told", async () => {
  const clock = new ManualClock();
  await using world = await TcpWorld.start("rules: [{ allow: '*', idle: 10s }]", { clock });
  using client = world.connect();
  await client.send("a");
  await client.receive("a");
  clock.advance(9000);
  await client.send("b");
  await client.receive("ab");
  clock.advance(9000);
  expect(client.socket.closed).toBe(false);
  clock.advance(1000);
  await client.ended;
  expect(world.decisions.at(-1)).toMatchObject({ direction: "out", because: "it carried nothing for 10 s" });
});

test("bytes wait for their second, are not lost, and what is not read is not taken from the sender", async () => {
  const clock = new ManualClock();
  await using world = await TcpWorld.start("rules: [{ allow: '*', bytes_per_second: { in: 1000 } }]", { clock });
  using client = world.connect();
  await client.send("x".repeat(500));
  await client.receive("x".repeat(50));
  for (let passed = 50; passed < 500; passed += 50) {
    expect(await client.receive("x", passed)).toHaveLength(passed);
    clock.advance(50);
    await client.receive("x", passed + 50);
  }
  // More than sockets hold, to a device that takes 1000 bytes a second: the sender is told to wait.
  expect(client.socket.write(Buffer.alloc(16 * 1024 ** 2))).toBe(false);
  const drained = once(client.socket, "drain").then(() => "drained");
  using other = world.connect();
  await other.send("x"); // shares the second of the rule, so it waits too
  clock.advance(100);
  expect(await Promise.race([drained, client.receive("x", 500).then(() => "waits")])).toBe("waits");
});

test("a device that does not read holds its client back", async () => {
  let first: Socket | undefined;
  await using world = await TcpWorld.start("default: allow", {
    serve: (socket) => {
      if (first === undefined) first = socket.pause();
      else socket.pipe(socket);
    },
  });
  using client = world.connect();
  client.socket.write(Buffer.alloc(64 * 1024 ** 2));
  await world.decided(() => true);
  using other = world.connect();
  for (let round = 1; round <= 20; round += 1) {
    await other.send("x");
    await other.receive("x", round); // meanwhile the first one could have written what fits
  }
  expect(client.socket.writableLength).toBeGreaterThan(0);
  const drained = once(client.socket, "drain");
  first?.resume();
  await drained;
}, 60_000);

test("rules that are read again hold for connections that are open", async () => {
  await using world = await TcpWorld.start("rules: [{ allow: '*' }]");
  const clients = [world.connect(), world.connect()];
  for (const client of clients) {
    await client.send("a");
    await client.receive("a");
  }
  const [first, second] = clients as [(typeof clients)[0], (typeof clients)[0]];
  world.reload("rules: [{ allow: '*', at_once: 1 }]");
  await second.ended;
  await first.send("b");
  await first.receive("ab");
  world.reload("rules: [{ block: 127.0.0.1, because: maintenance }]");
  await first.ended;
  expect(world.decisions.filter(isBlock)).toMatchObject([
    { direction: "out", because: "it is not allowed any more: the owner allows 1 of these connections at the same time" },
    { direction: "out", rule: "127.0.0.1", because: "it is not allowed any more: maintenance" },
  ]);
});

test("the end of the filter cuts all connections", async () => {
  const world = await TcpWorld.start("default: allow");
  using client = world.connect();
  await client.send("a");
  await client.receive("a");
  await world[Symbol.asyncDispose]();
  await client.ended;
});
