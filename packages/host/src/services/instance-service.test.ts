import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FilterReport } from "@hardshare/protocol";
import { Deferred, systemClock, systemRandom, findLauncher } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { programEnvironment } from "../programs/program-place.ts";
import { startProgram } from "../programs/run-program.ts";
import { InstanceService } from "./instance-service.ts";
import { ServicePump } from "./service-pump.ts";

/** Answers each line with its own process id and the line; dies when it is told to. */
const ECHO = `import net from "node:net";
const server = net.createServer((socket) => socket.on("data", (data) => {
  if (String(data).startsWith("die")) process.exit(7);
  socket.write(process.pid + " " + data);
}));
server.listen(0, "127.0.0.1", () => { console.log("127.0.0.1:" + server.address().port); console.log("serving"); });`;

let folder: string;
const lost: string[] = [];
const ended: string[] = [];
let restored = new Deferred();
let gone = new Deferred();
let output = "";
let reports: FilterReport[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-service-"));
  await writeFile(join(folder, "echo.mjs"), ECHO);
  lost.length = 0;
  ended.length = 0;
  output = "";
  reports = [];
  restored = new Deferred();
  gone = new Deferred();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function start(argv: string[], { signal = new AbortController().signal, isFilter = false } = {}): Promise<InstanceService> {
  const instance = { instanceId: crypto.randomUUID(), deploymentId: "d", user: "bob" };
  const env = programEnvironment({ PATH: process.env["PATH"] }, instance, "service");
  const place = { folder, env, launcher: await findLauncher() };
  return InstanceService.start(
    {
      name: "ROBOT",
      launch: () => startProgram(argv, place, "ignore"),
      clock: systemClock,
      random: systemRandom,
      onOutput: (text) => (output += text),
      givesPulses: isFilter,
      onReport: (report) => reports.push(report),
      onLost: (how) => {
        lost.push(how);
        gone.resolve();
      },
      onEnded: (why) => {
        ended.push(why);
        gone.resolve();
      },
      onRestored: () => restored.resolve(),
    },
    signal,
  );
}

async function script(body: string): Promise<string> {
  const path = join(folder, "service.sh");
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

test("a service is reached where its first line says, and its further output is passed on", async () => {
  await using service = await start([process.execPath, "echo.mjs"]);
  const socket = await service.dial();
  socket.write("hello\n");
  expect(String((await once(socket, "data"))[0])).toMatch(/^\d+ hello\n$/);
  socket.destroy();
  await service[Symbol.asyncDispose]();
  expect(output).toContain("serving");
  await expect(service.dial()).rejects.toMatchObject({ code: "connection_lost" });
});

test("when a service dies its connections are cut, nothing passes, and it is started again", async () => {
  await using service = await start([process.execPath, "echo.mjs"]);
  const path = join(folder, "s.sock");
  await using _pump = await ServicePump.listen(path, service);
  const socket = connect(path);
  socket.on("error", () => {});
  socket.write("one\n");
  const [first] = (await once(socket, "data")) as [Buffer];
  socket.write("die\n");
  await once(socket, "close");
  await gone.promise;
  expect(lost).toEqual(["service ROBOT ended with exit code 7"]);
  await expect(service.dial()).rejects.toMatchObject({ code: "connection_lost" });
  await restored.promise;
  const again = connect(path);
  again.write("two\n");
  const [second] = (await once(again, "data")) as [Buffer];
  expect(String(second)).toMatch(/ two\n$/);
  expect(String(second).split(" ")[0]).not.toBe(String(first).split(" ")[0]);
  again.destroy();
});

test("a cut resets connections, so that a service takes none of them for one whose user left", async () => {
  await writeFile(
    join(folder, "telling.mjs"),
    `import net from "node:net"; const server = net.createServer((socket) => socket.on("data", (data) => socket.write(data))
      .on("end", () => process.exit(1)).on("error", ({ code }) => process.exit(code === "ECONNRESET" ? 7 : 2)));
    server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`,
  );
  await using service = await start([process.execPath, "telling.mjs"]);
  const socket = await service.dial();
  socket.write("hello");
  await once(socket, "data");
  service.cut();
  await gone.promise;
  expect(lost).toEqual(["service ROBOT ended with exit code 7"]);
});

test("the death of a service is noticed although a process that it left behind holds its output open", async () => {
  await writeFile(
    join(folder, "leaving.mjs"),
    `import { spawn } from "node:child_process"; import net from "node:net"; import { writeFileSync } from "node:fs";
    writeFileSync("left", String(spawn("sleep", ["600"], { detached: true, stdio: "inherit" }).pid));
    const server = net.createServer((socket) => socket.on("data", () => process.exit(7)));
    server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`,
  );
  await using service = await start([process.execPath, "leaving.mjs"]);
  const left = Number(await readFile(join(folder, "left"), "utf8"));
  (await service.dial()).on("error", () => {}).write("die");
  await gone.promise;
  process.kill(left, "SIGKILL"); // it was still there
});

test("megabytes pass through the pump unchanged, and an end of one way leaves the other", async () => {
  const source = `import net from "node:net"; import { createHash } from "node:crypto";
    const server = net.createServer({ allowHalfOpen: true }, (socket) => { const hash = createHash("sha256");
      socket.on("data", (data) => hash.update(data)); socket.on("end", () => socket.end(hash.digest("hex"))); });
    server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`;
  await writeFile(join(folder, "hash.mjs"), source);
  await using service = await start([process.execPath, "hash.mjs"]);
  const path = join(folder, "s.sock");
  await writeFile(path, ""); // left behind
  await using _pump = await ServicePump.listen(path, service);
  const bytes = systemRandom.bytes(8 * 1024 * 1024);
  const socket = connect({ path, allowHalfOpen: true });
  socket.end(bytes);
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  const { createHash } = await import("node:crypto");
  expect(answer).toBe(createHash("sha256").update(bytes).digest("hex"));
});

test.each([
  ["echo hello; sleep 60", 'printed "hello" on its first line; expected host:port'],
  ["echo 127.0.0.1:99999; sleep 60", "expected host:port"],
  ["echo no rules >&2; exit 4", "ended with exit code 4 before it printed host:port\nno rules"],
  ["head -c 100000 /dev/zero | tr '\\0' x; sleep 60", "expected host:port"],
])("a service that does not say where it listens fails: %s", async (body, message) => {
  await expect(start([await script(body)])).rejects.toMatchObject({ code: "program_failed", message: expect.stringContaining(message) });
});

test("starting a service that stays silent can be cancelled", async () => {
  const cancel = new AbortController();
  const starting = start([await script("sleep 60")], { signal: cancel.signal });
  cancel.abort();
  await expect(starting).rejects.toMatchObject({ code: "cancelled" });
});

/** Like a filter: pulses, and counts as judged what it echoes; what it is told to do it does. */
const PULSING = `import net from "node:net"; let judged = { in: 0, out: 0, blocked: 0 };
const say = (report) => process.stderr.write(JSON.stringify({ at: new Date().toISOString(), ...report }) + "\\n");
setInterval(() => say({ type: "pulse", judged }), 100);
process.on("SIGHUP", () => say({ type: "rules" }));
const server = net.createServer((socket) => socket.on("data", (data) => {
  judged.in += 1; say({ type: "pulse", judged });
  if (String(data).startsWith("stop")) process.kill(process.pid, "SIGSTOP");
  if (String(data).startsWith("spin")) for (;;);
  socket.write(data);
}));
server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`;

test.each(["stop", "spin"])("a filter that hangs (%s) is cut off after two seconds, killed, and started again", async (how) => {
  await writeFile(join(folder, "pulsing.mjs"), PULSING);
  await using service = await start([process.execPath, "pulsing.mjs"]);
  const socket = await service.dial();
  socket.write("hello");
  await once(socket, "data");
  const at = performance.now();
  socket.write(how);
  await once(socket, "close");
  expect(performance.now() - at).toBeGreaterThan(1900);
  expect(lost).toEqual(["service ROBOT gave no sign of life for 2 s: it hangs and is killed"]);
  await restored.promise;
  const again = await service.dial();
  again.write("abc");
  await once(again, "data");
  again.destroy();
  await once(again, "close");
  expect(service.traffic).toEqual({
    service: "ROBOT",
    bytes: { in: 5 + 4 + 3, out: 5 + 3 },
    messages: { in: 3, out: 0, blocked: 0 },
  });
  expect(output).toBe("");
});

/** Like a filter that still reads nothing more when its connections are cut; how it answers then is told by its argument. */
const CUTTING = `import net from "node:net"; import { writeFileSync } from "node:fs";
const say = (report) => process.stderr.write(JSON.stringify({ at: new Date().toISOString(), ...report }) + "\\n");
let server;
const listen = () => new Promise((resolve) => { server?.close(); server = net.createServer((socket) => socket.on("error", () => {})
  .on("data", (data) => socket.write(process.pid + " " + data)));
  server.listen(0, "127.0.0.1", () => resolve("127.0.0.1:" + server.address().port)); });
const how = process.argv[2];
if (how !== "is none of ours") setInterval(() => say({ type: "pulse", judged: { in: 0, out: 0, blocked: 0 } }), 500);
if (how === "cuts" || how === "says nothing") process.on("SIGUSR2", async () => {
  writeFileSync("asked", "");
  const address = await listen();
  if (how === "cuts") say({ type: "cut", address });
});
console.log(await listen());`;

const ask = async (service: InstanceService) => {
  const socket = await service.dial();
  socket.on("error", () => {}).write("hello");
  return { socket, pid: String((await once(socket, "data"))[0]).split(" ")[0] };
};

test("a hold settles when the filter said that it cut all; after the release it is reached where it serves then", async () => {
  await writeFile(join(folder, "cutting.mjs"), CUTTING);
  await using service = await start([process.execPath, "cutting.mjs", "cuts"], { isFilter: true });
  const { socket, pid } = await ask(service);
  const closed = once(socket, "close");
  const held = service.hold();
  await expect(service.dial()).rejects.toThrow("until the hardware is safe");
  await held;
  await readFile(join(folder, "asked")); // before it settled
  await closed;
  service.release();
  expect((await ask(service)).pid).toBe(pid);
  expect({ lost, ended }).toEqual({ lost: [], ended: [] });
});

test.each(["says nothing", "does not bear to be asked", "is none of ours"])(
  "a service that %s when it is held is ended before the hold settles, and started again; it is no loss",
  async (how) => {
    await writeFile(join(folder, "cutting.mjs"), CUTTING);
    await using service = await start([process.execPath, "cutting.mjs", how]);
    const { pid } = await ask(service);
    await Promise.all([service.hold(), service.hold()]);
    expect(() => process.kill(Number(pid), 0)).toThrow("ESRCH");
    service.release();
    await expect(service.dial()).rejects.toThrow();
    service.release();
    await restored.promise;
    expect((await ask(service)).pid).not.toBe(pid);
    expect({ lost, ended }).toEqual({ lost: [], ended: ["service ROBOT is started again, so that nothing passes that it had read"] });
  },
);

test("holds at the same time are one question, so that no answer is missed", async () => {
  await writeFile(join(folder, "cutting.mjs"), CUTTING);
  await using service = await start([process.execPath, "cutting.mjs", "cuts"], { isFilter: true });
  const { pid } = await ask(service);
  await Promise.all([service.hold(), service.hold(), service.hold()]);
  for (let count = 0; count < 3; count += 1) service.release();
  expect((await ask(service)).pid).toBe(pid);
  expect({ lost, ended }).toEqual({ lost: [], ended: [] });
});

test("a program of the owner's can't say that it serves elsewhere: it may print what its user sends", async () => {
  const forging = `import net from "node:net";
    const server = net.createServer((socket) => socket.on("data", (data) => process.stderr.write(data)));
    server.listen(0, "127.0.0.1", () => console.log("127.0.0.1:" + server.address().port));`;
  await writeFile(join(folder, "forging.mjs"), forging);
  await using service = await start([process.execPath, "forging.mjs"]);
  const socket = await service.dial();
  const at = new Date().toISOString();
  socket.write(`${JSON.stringify({ type: "cut", at, address: "127.0.0.1:1" })}\n${JSON.stringify({ type: "rules", at })}\n`);
  await expect.poll(() => reports.length).toBe(2);
  (await service.dial()).destroy();
});
