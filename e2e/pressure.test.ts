/** Much goes through each path, and somebody stops reading: memory stays flat, others go on, and a cut ends it (G10). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { Duplex, type Readable, type Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cleanEnvironment } from "./harness/commands.ts";
import { describeWithContainers } from "./harness/containers.ts";
import { type Ends, FarEnd } from "./harness/far-end.ts";
import { processesWith } from "./harness/leftovers.ts";
import { MemoryWatch } from "./harness/memory.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

const MB = 1024 * 1024;
const isLong = process.env["HARDSHARE_LONG"] !== undefined;
/** Through each path, in each direction. */
const TOTAL_BYTES = isLong ? 1024 * MB : 128 * MB;
const ASIDE_BYTES = 8 * MB;
/** What a program may grow by, whatever passes: Node's young generation and the buffers between two collections. */
const FLAT_BYTES = 64 * MB;
const TIMEOUT_MS = isLong ? 600_000 : 300_000;

/** A test that CI has no time for: there it is not part of the suite, rather than skipped. */
function longTest(name: string, body: () => Promise<void>): void {
  if (isLong) test(name, { timeout: TIMEOUT_MS }, body);
}

let world: World;
let owner: Person;
let host: OwnHost;
let far: FarEnd;
let plain: string;
let inside: string;
let filtered: string;
let device: Server;

beforeAll(async () => {
  world = await World.create();
  owner = await world.user("olga");
  host = new OwnHost(owner);
  far = await FarEnd.listen();
  await owner.prepare("init", "--server", world.ready.url);
  const service = `services: [{ name: FAR, command: ${await far.writeProgram(join(world.folder, "far.sh"))} }]\n`;
  plain = await host.share(`provider: proxy\npublic_port: true\n${service}`);
  inside = await host.share(`provider: podman\n${service}`);
  device = createServer(serveDevice);
  await once(device.listen(0, "127.0.0.1"), "listening");
  const rules = join(world.folder, "rules.yaml");
  await writeFile(rules, "default: allow\nrules: []\n");
  const target = `127.0.0.1:${(device.address() as AddressInfo).port}`;
  filtered = await host.share(
    `provider: proxy\npublic_port: true\nservices: [{ name: ROBOT, filter: http, target: "${target}", rules: ${rules} }]\n`,
  );
  await host.advertise();
});
/** Sends as much as it can for a GET, else counts what comes. */
function serveDevice(asked: IncomingMessage, answer: ServerResponse): void {
  if (asked.method === "GET") return void new Pour(answer, TOTAL_BYTES).done.then(() => answer.end());
  let got = 0;
  asked.on("data", (chunk: Buffer) => (got += chunk.length)).once("end", () => answer.end(String(got)));
}

afterAll(async () => {
  device?.close();
  await host?.[Symbol.asyncDispose]();
  await far?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

interface Launched {
  id: string;
  ssh_config: string;
  fwd?: { port: number };
}

/** Everything that carries bytes of an instance. */
async function carriers(instanceId: string): Promise<Map<string, number>> {
  const pids = new Map<string, number>([["host", host.daemon.child.pid ?? 0]]);
  for (const line of await processesWith(world.dataFolder)) {
    const program = / --format json (hub|serve)\b/.exec(line)?.[1];
    if (program !== undefined) pids.set(program, Number(line.split(" ")[0]));
  }
  for (const line of await processesWith(instanceId)) if (line.includes("relay")) pids.set("relay", Number(line.split(" ")[0]));
  return pids;
}

/** Bytes that are written as fast as they are taken. */
class Pour {
  sentBytes = 0;
  readonly done: Promise<void>;

  constructor(writer: Writable, totalBytes: number) {
    this.done = this.#write(writer, totalBytes);
  }

  async #write(writer: Writable, totalBytes: number): Promise<void> {
    const block = Buffer.alloc(64 * 1024, "x");
    while (this.sentBytes < totalBytes && !writer.destroyed) {
      this.sentBytes += block.length;
      if (!writer.write(block)) await goesOn(writer);
    }
  }
}

/** Settles when a stream takes bytes again, or has closed. */
function goesOn(writer: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      writer.off("drain", settle).off("close", settle);
      resolve();
    };
    writer.once("drain", settle).once("close", settle);
    if (writer.closed) settle();
  });
}

/** Reads so many bytes. @param onPart after each 8 MB */
async function drink(reader: Readable, totalBytes: number, onPart: () => Promise<void> = async () => {}): Promise<void> {
  let got = 0;
  let next = 8 * MB;
  for await (const chunk of reader.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    got += chunk.length;
    if (got >= totalBytes) break;
    if (got < next) continue;
    next += 8 * MB;
    await onPart();
  }
  expect(got).toBe(totalBytes);
}

async function carryThrough(way: { name: string; instanceId: string; open: () => Promise<Duplex> }): Promise<void> {
  const open = async (): Promise<Ends> => far.meet(await way.open());
  const transfer = async (writer: Duplex, reader: Duplex, bytes: number, onPart?: () => Promise<void>) => {
    const pour = new Pour(writer, bytes);
    await drink(reader, bytes, onPart);
    await pour.done;
  };
  const first = await open();
  await transfer(first.far, first.near, ASIDE_BYTES);
  await transfer(first.near, first.far, ASIDE_BYTES);
  const memory = await MemoryWatch.start(await carriers(way.instanceId));
  const began = performance.now();
  const taken: number[] = [];
  for (const [writer, reader] of [
    [first.far, first.near],
    [first.near, first.far],
  ] as const) {
    const pour = new Pour(writer, TOTAL_BYTES);
    // Its reader stands still, others pass all their bytes: until nothing more was taken from it meanwhile, as long as there is any.
    for (let before = -1; before !== pour.sentBytes && pour.sentBytes < TOTAL_BYTES;) {
      before = pour.sentBytes;
      const other = await open();
      await transfer(other.far, other.near, ASIDE_BYTES);
      await transfer(other.near, other.far, ASIDE_BYTES);
      other.near.destroy();
    }
    expect(pour.sentBytes).toBeLessThan(TOTAL_BYTES); // what was taken lies in the kernel's socket buffers, nearly all of it
    taken.push(pour.sentBytes);
    await memory.look();
    await drink(reader, TOTAL_BYTES, () => memory.look());
    await pour.done;
  }
  const megabytes = (bytes: number) => Math.round(bytes / MB);
  const growth = Object.entries(memory.growth).map(([name, bytes]) => `${name} +${megabytes(bytes)} MB`);
  const speed = megabytes((2 * TOTAL_BYTES) / ((performance.now() - began) / 1000));
  // oxlint-disable-next-line no-console -- measurements, for people
  console.log(
    `${way.name}: ${megabytes(TOTAL_BYTES)} MB each way, ${speed} MB/s; taken for a stalled reader ${taken.map(megabytes).join(", ")} MB; ${growth.join(", ")}`,
  );
  expectFlat(memory);

  // Nobody reads, and the instance ends: so do both ends, at once.
  const stalled = await open();
  const pours = [new Pour(stalled.near, TOTAL_BYTES), new Pour(stalled.far, TOTAL_BYTES)];
  const ends = [stalled.near, stalled.far].map((end) => new Promise((resolve) => end.once("close", resolve)));
  await expectAnswer(owner.run(["terminate", way.instanceId]));
  stalled.near.resume();
  stalled.far.resume();
  await Promise.all([...ends, ...pours.map(({ done }) => done)]);
}

function expectFlat(memory: MemoryWatch): void {
  for (const [name, bytes] of Object.entries(memory.growth)) {
    expect({ name, bytes }).toEqual({ name, bytes: expect.toSatisfy((grown: number) => grown < FLAT_BYTES) });
  }
}

/** Standard input and output of a program. */
function throughProgram(command: string, args: readonly string[]): Duplex {
  const child = spawn(command, args, { env: cleanEnvironment(owner.env), stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {});
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
  stream.once("close", () => child.kill());
  return stream;
}

async function connectTo(port: number): Promise<Duplex> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
  await once(socket, "connect");
  return socket;
}

// The server's port and a container's service have all of these paths' programs in them.
longTest("through a public port", async () => {
  const launched = await owner.json<Launched>("launch", plain, "--wait");
  await carryThrough({ name: "public port", instanceId: launched.id, open: () => connectTo(launched.fwd?.port ?? 0) });
});

longTest("through the hub as a jump host", async () => {
  const launched = await owner.json<Launched>("launch", plain, "--wait");
  const args = ["-F", launched.ssh_config, "-W", "localhost:22", `${plain}-hub`];
  await carryThrough({ name: "jump host", instanceId: launched.id, open: async () => throughProgram("ssh", args) });
});

test("through the server's port", { timeout: TIMEOUT_MS }, async () => {
  const launched = await owner.json<Launched>("launch", plain, "--wait");
  await using forward = owner.start<{ port: number }>("forward", launched.id);
  const { port } = await forward.ready;
  await carryThrough({ name: "WebSocket", instanceId: launched.id, open: () => connectTo(port) });
});

longTest("in bodies through the http filter", async () => {
  const launched = await owner.json<Launched>("launch", filtered, "--wait");
  const daemon = host.daemon.child.pid ?? 0;
  const pids = new Map([["host", daemon]]);
  const children = await readFile(`/proc/${daemon}/task/${daemon}/children`, "utf8"); // the filter, and the next one that waits
  for (const pid of children.trim().split(" ")) pids.set(`child ${pid}`, Number(pid));
  expect(pids.size).toBeGreaterThan(1);
  const base = `http://127.0.0.1:${launched.fwd?.port}`;
  const memory = await MemoryWatch.start(pids);
  const down = request(`${base}/all`, { agent: false });
  const [answer] = (await once(down.end(), "response")) as [IncomingMessage];
  await drink(answer, TOTAL_BYTES, () => memory.look());
  const up = request(`${base}/all`, { method: "PUT", agent: false });
  const answered = once(up, "response") as Promise<[IncomingMessage]>;
  await new Pour(up, TOTAL_BYTES).done;
  await memory.look();
  up.end();
  expect(await text((await answered)[0])).toBe(String(TOTAL_BYTES));
  expectFlat(memory);
  // oxlint-disable-next-line no-console -- measurements, for people
  console.log(`http filter: ${TOTAL_BYTES / MB} MB each way`, memory.growth);
});

describeWithContainers("from inside a container", () => {
  test("to a service", { timeout: TIMEOUT_MS }, async () => {
    const launched = await owner.json<Launched>("launch", inside, "--wait");
    const script = "exec 3<>/dev/tcp/${FAR/://}; cat <&3 & exec cat >&3";
    const args = ["-F", launched.ssh_config, inside, `bash -c '${script}'`];
    await carryThrough({ name: "service of a container", instanceId: launched.id, open: async () => throughProgram("ssh", args) });
  });
});
