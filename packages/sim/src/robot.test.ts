import { spawn } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { open } from "node:fs";
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ReadStream } from "node:tty";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Deferred, type Logger, ManualClock, silentLogger, systemClock } from "@hardshare/runtime";
import { describe, expect, test } from "vitest";
import type { LedgerEntry } from "./ledger.ts";
import { type Robot, type RobotOptions, startRobot } from "./robot.ts";

const openFile = (path: string) => promisify(open)(path, "r+");

async function startTestRobot(options: Partial<RobotOptions> = {}): Promise<Robot> {
  return await startRobot({ host: "127.0.0.1", port: 0, clock: systemClock, logger: silentLogger, ...options });
}

async function post(robot: Robot, path: string, body: string): Promise<{ status: number; body: unknown }> {
  const response = await fetch(robot.url + path, { method: "POST", body });
  return { status: response.status, body: await response.json() };
}

async function readLedger(robot: Robot, query = ""): Promise<{ limit: number; dropped: number; entries: LedgerEntry[] }> {
  return (await (await fetch(`${robot.url}/ledger${query}`)).json()) as { limit: number; dropped: number; entries: LedgerEntry[] };
}

describe("the HTTP API", () => {
  test("driving changes where the sensors say the robot is", async () => {
    const clock = new ManualClock();
    await using robot = await startTestRobot({ clock });
    expect(await post(robot, "/api/drive/time", '{"LinearVelocity": 20, "TimeMS": 1000}')).toEqual({
      status: 200,
      body: { result: "driving" },
    });
    clock.advance(500);
    expect(await (await fetch(`${robot.url}/api/sensors`)).json()).toMatchObject({ pose: { x: 2, y: 1.6, heading: 90 }, isMoving: true });
    clock.advance(5000);
    expect(await (await fetch(`${robot.url}/api/sensors`)).json()).toMatchObject({ pose: { x: 2, y: 1.7 }, isMoving: false });
  });

  test("the head turns, and a reboot levels it", async () => {
    await using robot = await startTestRobot();
    await post(robot, "/api/head", '{"Pitch": 10}');
    expect((await post(robot, "/api/head", '{"Yaw": -5}')).body).toEqual({ result: "turned", head: { pitch: 10, roll: 0, yaw: -5 } });
    expect((await post(robot, "/api/reboot", "")).body).toEqual({ result: "rebooted", boots: 2 });
    expect(await (await fetch(`${robot.url}/api/sensors`)).json()).toMatchObject({ head: { pitch: 0, roll: 0, yaw: 0 }, boots: 2 });
  });

  test("the battery runs down", async () => {
    const clock = new ManualClock();
    await using robot = await startTestRobot({ clock });
    clock.advance(3_600_000);
    expect(await (await fetch(`${robot.url}/api/battery`)).json()).toEqual({ chargePercent: 90, voltage: 12.3, isCharging: false });
  });

  test("the camera gives a PNG of the size asked for", async () => {
    await using robot = await startTestRobot();
    const response = await fetch(`${robot.url}/api/cameras/rgb?Width=100&Height=80`);
    const picture = Buffer.from(await response.arrayBuffer());
    expect(response.headers.get("content-type")).toBe("image/png");
    expect([picture.readUInt32BE(16), picture.readUInt32BE(20)]).toEqual([100, 80]);
  });

  test.each([
    ["/api/drive/time", '{"LinearVelocity": 20}', "TimeMS"],
    ["/api/drive/time", '{"LinearVelocity": "fast", "TimeMS": 1}', "LinearVelocity"],
    ["/api/drive/time", '{"LinearVelocity": 51, "TimeMS": 1}', "LinearVelocity"],
    ["/api/head", '{"Pitch": 90}', "Pitch"],
    ["/api/head", "{", "body"],
  ])("POST %s with %s is answered 400 and names %s", async (path, body, field) => {
    await using robot = await startTestRobot();
    expect(await post(robot, path, body)).toEqual({ status: 400, body: { error: expect.stringContaining(field), field } });
  });

  test.each(["Width=0", "Width=1281", "Width=ten", "Height=1e2"])("a picture with %s is answered 400", async (query) => {
    await using robot = await startTestRobot();
    const response = await fetch(`${robot.url}/api/cameras/rgb?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ field: query.split("=")[0] });
  });

  test("unknown paths, wrong methods and large bodies are told apart", async () => {
    await using robot = await startTestRobot();
    expect((await post(robot, "/api/fly", "")).status).toBe(404);
    expect((await post(robot, "/api/sensors", "")).status).toBe(405);
    expect((await post(robot, "/api/head", "x".repeat(70_000))).status).toBe(413);
  });

  test("a port in use is named", async () => {
    await using robot = await startTestRobot();
    await expect(startTestRobot({ port: robot.port })).rejects.toMatchObject({ code: "port_in_use", details: { port: robot.port } });
  });
});

test("a connection that can't be accepted does not end the robot", async () => {
  const warnings: string[] = [];
  await using robot = await startTestRobot({ logger: { ...silentLogger, warn: (message) => void warnings.push(message) } });
  const accepted = new Promise<Server>((resolve) => {
    subscribe("net.server.socket", function onSocket(message) {
      unsubscribe("net.server.socket", onSocket);
      resolve((message as { socket: { server: Server } }).socket.server);
    });
  });
  const answer = fetch(`${robot.url}/api/battery`);
  (await accepted).emit("error", new Error("accept EMFILE"));
  expect(warnings).toEqual(["a connection was not accepted"]);
  expect((await answer).status).toBe(200);
});

describe("the ledger", () => {
  test("holds every request with its arguments and outcome, but none for itself", async () => {
    await using robot = await startTestRobot();
    await readLedger(robot);
    await post(robot, "/api/head", '{"Pitch": 10}');
    await post(robot, "/api/head", '{"Pitch": 90}');
    await fetch(`${robot.url}/api/cameras/rgb?Width=100`);
    await post(robot, "/api/fly", "");
    const { limit, dropped, entries } = await readLedger(robot);
    expect({ limit, dropped }).toEqual({ limit: 10_000, dropped: 0 });
    expect(entries.map((entry) => [entry.sequence, entry.kind, entry.action, entry.arguments, entry.status])).toEqual([
      [1, "act", "POST /api/head", { Pitch: 10 }, 200],
      [2, "act", "POST /api/head", { Pitch: 90 }, 400],
      [3, "read", "GET /api/cameras/rgb", { Width: "100" }, 200],
      [4, "act", "POST /api/fly", {}, 404],
    ]);
  });

  test("keeps as many entries as it was told, and can be read from a sequence number", async () => {
    await using robot = await startTestRobot({ ledgerLimit: 2 });
    for (let count = 0; count < 3; count += 1) await post(robot, "/api/reboot", "");
    expect(await readLedger(robot)).toMatchObject({ limit: 2, dropped: 1, entries: [{ sequence: 2 }, { sequence: 3 }] });
    expect((await readLedger(robot, "?after=2")).entries).toMatchObject([{ sequence: 3 }]);
  });

  test.each([
    ["what is no HTTP", `BOOM ${"x".repeat(300)}\r\n\r\n`, "malformed", `BOOM ${"x".repeat(251)}`],
    ["two framings", "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed", "POST /a"],
    ["a tunnel", "CONNECT robot:80 HTTP/1.1\r\nHost: a\r\n\r\nsmuggled", "malformed", "CONNECT robot:80\nsmuggled"],
    ["an upgrade", "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", "GET /a", undefined],
  ])("holds %s that reached the robot", async (_name, bytes, action, start) => {
    await using robot = await startTestRobot();
    const socket = connect(robot.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.resume().write(bytes);
    await new Promise((resolve) => socket.once("close", resolve));
    const [entry] = (await readLedger(robot)).entries;
    expect(entry?.action).toBe(action);
    if (start !== undefined) expect(String(entry?.arguments["bytes"]).slice(0, start.length)).toBe(start);
    expect(String(entry?.arguments["bytes"]).length).toBeLessThanOrEqual(256);
  });

  test("can't be erased", async () => {
    await using robot = await startTestRobot();
    expect((await fetch(`${robot.url}/ledger`, { method: "DELETE" })).status).toBe(404);
    expect((await readLedger(robot)).entries).toHaveLength(1);
  });
});

describe("the serial line", () => {
  async function makeFolder() {
    const path = await mkdtemp(join(tmpdir(), "hardshare-sim-"));
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
  }

  /** Opens the device file as a program would, writes the bytes, and reads until the answer ends as told. */
  async function talk(link: string, bytes: string, until: RegExp): Promise<string> {
    const terminal = new ReadStream(await openFile(link));
    let answer = "";
    try {
      terminal.write(bytes);
      await new Promise<void>((resolve, reject) => {
        terminal.on("data", (chunk: Buffer) => {
          answer += chunk.toString();
          if (until.test(answer)) resolve();
        });
        terminal.once("error", reject);
        terminal.once("end", () => reject(new Error(`the serial line ended after: ${answer}`)));
      });
      return answer;
    } finally {
      terminal.destroy();
    }
  }

  /** A robot in a process of its own, and the line that it said when it was up. */
  async function startRobotProcess(link: string, environment: Record<string, string>) {
    const program = fileURLToPath(new URL("testing/robot-process.fixture.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", "--conditions", "@hardshare/source", program, link], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said] = (await once(child.stdout, "data")) as [Buffer];
    return { child, said: said.toString() };
  }

  /** Process ids of the socats that serve this link. */
  async function findSocats(link: string): Promise<number[]> {
    const found: number[] = [];
    for (const name of await readdir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const words = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
      if (words.startsWith("socat\0") && words.includes(`link=${link}`)) found.push(Number(name));
    }
    return found;
  }

  test.each(["ttyROBOT", `it's a, "robot"!: 100%`])(
    "is a device file (%s) that speaks the line protocol, to one client after the other",
    async (name) => {
      await using folder = await makeFolder();
      const link = join(folder.path, name);
      await using robot = await startTestRobot({ serialLink: link });
      expect({ path: robot.serialPath, problem: robot.serialProblem }).toEqual({ path: link, problem: null });
      expect(await readlink(link)).toMatch(/^\/dev\/pts\/\d+$/);
      expect(await talk(link, "G0 X10 Y20\rM112\n", /ok\r\nok\r\n$/)).toBe("ok\r\nok\r\n");
      expect(await talk(link, "G5\r\n", /\n$/)).toBe("error:expected G0, G1, M114, M112 or ?, not G5\r\n");
      expect(await talk(link, `${"x".repeat(300)}\n`, /\n$/)).toBe("error:expected at most 256 characters in a line\r\n");
      const { entries } = await readLedger(robot);
      expect(entries.map((entry) => [entry.channel, entry.kind, entry.action])).toEqual([
        ["serial", "act", "G0"],
        ["serial", "answer", "ok"],
        ["serial", "act", "M112"],
        ["serial", "answer", "ok"],
        ["serial", "act", "G5"],
        ["serial", "answer", "error:expected G0, G1, M114, M112 or ?, not G5"],
        ["serial", "act", "too long"],
        ["serial", "answer", "error:expected at most 256 characters in a line"],
      ]);
    },
  );

  test("carries a thousand lines without losing one", async () => {
    await using folder = await makeFolder();
    const link = join(folder.path, "ttyROBOT");
    await using robot = await startTestRobot({ serialLink: link });
    const answer = await talk(link, "M112\n".repeat(1000), /(ok\r\n){1000}$/);
    expect(answer).toBe("ok\r\n".repeat(1000));
    expect(robot.serialProblem).toBeNull();
  });

  test("comes back when socat dies, and goes with the robot", async () => {
    await using folder = await makeFolder();
    const link = join(folder.path, "ttyROBOT");
    const isBack = new Deferred();
    const logger: Logger = { ...silentLogger, info: (message) => message.includes("is back") && isBack.resolve() };
    {
      await using robot = await startTestRobot({ serialLink: link, logger });
      const [pid = 0, ...others] = await findSocats(link);
      expect(others).toEqual([]);
      process.kill(pid, "SIGKILL");
      await isBack.promise;
      expect(await talk(link, "?\n", /\n$/)).toBe("<Idle|X:0.00,Y:0.00|F:0>\r\n");
      expect(robot.serialPath).toBe(link);
    }
    expect(await findSocats(link)).toEqual([]);
    expect(await readdir(folder.path)).toEqual([]);
  });

  test("ends with the robot's process, also when that is killed", async () => {
    await using folder = await makeFolder();
    const link = join(folder.path, "ttyROBOT");
    const { child } = await startRobotProcess(link, {});
    const [pid = 0] = await findSocats(link);
    const terminal = new ReadStream(await openFile(link));
    terminal.resume();
    const ended = new Promise<void>((resolve) => {
      terminal.once("error", () => resolve()); // EIO: nobody holds the other end
      terminal.once("end", () => resolve());
    });
    child.kill("SIGKILL");
    await ended;
    terminal.destroy();
    expect(pid).toBeGreaterThan(0);
  });

  test("needs socat: without it the robot comes up and says what to install", async () => {
    const { child, said } = await startRobotProcess("/tmp/hardshare-no-tty", { PATH: "/nowhere" });
    child.kill("SIGKILL");
    expect(said).toMatch(/without socat: install it \(Debian: apt-get install socat\)/);
  });

  test("that is not asked for is no problem", async () => {
    await using robot = await startTestRobot();
    expect({ path: robot.serialPath, problem: robot.serialProblem }).toEqual({ path: null, problem: null });
  });

  test.each([
    ["a file is at its path", (folder: string) => join(folder, "file"), /exists and is not a link/],
    ["its folder is missing", (folder: string) => join(folder, "none", "tty"), /No such file or directory/],
  ])("when %s the robot comes up without it and says why", async (_name, linkIn, problem) => {
    await using folder = await makeFolder();
    await writeFile(join(folder.path, "file"), "mine");
    await using robot = await startTestRobot({ serialLink: linkIn(folder.path) });
    expect(robot.serialPath).toBeNull();
    expect(robot.serialProblem).toMatch(problem);
    expect(await readFile(join(folder.path, "file"), "utf8")).toBe("mine");
    expect((await fetch(`${robot.url}/api/battery`)).status).toBe(200);
  });
});
