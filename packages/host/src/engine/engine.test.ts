/** One suite for all engines: the fake in memory, and real ones where they run. */
import { systemClock } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GENERIC_IMAGE } from "../image/ensure-image.ts";
import { describeWithEngine, findRealEngines } from "../testing/real-engines.fixture.ts";
import type { ContainerExit, ContainerSpec, Engine } from "./engine.ts";
import { FakeEngine } from "./fake-engine.ts";

const fake = {
  name: "fake",
  problem: undefined,
  open: async (): Promise<Engine> =>
    new FakeEngine({
      clock: systemClock,
      images: { [GENERIC_IMAGE]: { id: "1", labels: {}, command: ["sleep", "1000"] } },
      devices: ["/dev/full"],
    }),
};
const real = (await findRealEngines()).map((engine) => ({
  name: engine.provider,
  problem: engine.problem,
  open: async (): Promise<Engine> => {
    await engine.ensureImage();
    return engine.open();
  },
}));

for (const { name, problem, open } of [fake, ...real]) {
  describeWithEngine(`${name} engine`, { problem }, () => {
    const run = `${process.pid}-${Date.now().toString(36)}`;
    let engine: Engine;
    let count = 0;

    const makeSpec = (changes: Partial<ContainerSpec> = {}): ContainerSpec => ({
      image: GENERIC_IMAGE,
      name: `hs-test-${run}-${(count += 1)}`,
      hostname: "robot",
      labels: { "io.hardshare.test": run },
      env: { COLOUR: "green" },
      command: ["sleep", "1000"],
      limits: { memoryBytes: 256 * 1024 ** 2, cpus: 1, pids: 64 },
      devices: [],
      network: "none",
      ...changes,
    });
    const startOne = async (changes: Partial<ContainerSpec> = {}): Promise<string> => {
      const id = await engine.createContainer(makeSpec(changes));
      await engine.startContainer(id);
      return id;
    };
    const runInside = async (id: string, ...argv: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> => {
      const output = { stdout: "", stderr: "" };
      const exitCode = await engine.exec(id, argv, { onOutput: (chunk, stream) => (output[stream] += chunk.toString("utf8")) });
      return { exitCode, ...output };
    };

    beforeAll(async () => {
      engine = await open();
    }, 600_000);
    afterAll(async () => {
      if (engine === undefined) return;
      for (const { id } of await engine.listContainers({ "io.hardshare.test": run })) await engine.removeContainer(id);
      await engine[Symbol.asyncDispose]();
    });

    test("says who it is", async () => {
      expect((await engine.version()).version).toMatch(/^\d/);
    });

    test("knows which images are there and what they run", async () => {
      expect((await engine.inspectImage(GENERIC_IMAGE))?.command).not.toEqual([]);
      expect(await engine.inspectImage("localhost/hardshare/no-such-image")).toBeUndefined();
    });

    test("takes a container from created to running to gone", async () => {
      const id = await engine.createContainer(makeSpec());
      expect(await engine.inspectContainer(id)).toEqual({
        id,
        isRunning: false,
        pid: undefined,
        exitCode: undefined,
        isOutOfMemory: false,
        startedAt: undefined,
      });
      await engine.startContainer(id);
      await engine.startContainer(id);
      const running = await engine.inspectContainer(id);
      expect(running).toMatchObject({ isRunning: true, exitCode: undefined });
      expect(running.pid).toBeGreaterThan(1);
      expect(Math.abs((running.startedAt ?? 0) - Date.now())).toBeLessThan(20_000);
      await engine.removeContainer(id);
      await engine.removeContainer(id);
      await expect(engine.inspectContainer(id)).rejects.toMatchObject({ code: "not_found" });
    });

    test("finds containers by their labels, running or not", async () => {
      const labels = { "io.hardshare.test": run, "io.hardshare.instance": `i-${run}` };
      const spec = makeSpec({ labels });
      const created = await engine.createContainer(spec);
      const running = await startOne({ labels });
      const found = await engine.listContainers({ "io.hardshare.test": true, "io.hardshare.instance": `i-${run}` });
      expect(found.map(({ id, isRunning }) => ({ id, isRunning })).sort((a, b) => Number(a.isRunning) - Number(b.isRunning))).toEqual([
        { id: created, isRunning: false },
        { id: running, isRunning: true },
      ]);
      expect(found.find(({ id }) => id === created)).toMatchObject({ name: spec.name, labels });
      expect(await engine.listContainers({ "io.hardshare.instance": "another" })).toEqual([]);
    });

    test("refuses an image that is not there", async () => {
      await expect(engine.createContainer(makeSpec({ image: "localhost/hardshare/no-such-image" }))).rejects.toMatchObject({
        code: "image_missing",
      });
    });

    test("refuses a device that is not there and names it", async () => {
      const refusal = engine.createContainer(makeSpec({ devices: ["/dev/no-such-device"] }));
      await expect(refusal).rejects.toMatchObject({ code: "device_missing", details: { device: "/dev/no-such-device" } });
      await engine.createContainer(makeSpec({ devices: ["/dev/full"] }));
    });

    test("refuses a name that is taken", async () => {
      const spec = makeSpec();
      await engine.createContainer(spec);
      await expect(engine.createContainer(spec)).rejects.toMatchObject({ code: "conflict" });
    });

    test("puts files into a container before it starts and while it runs", async () => {
      const id = await engine.createContainer(makeSpec());
      const long = `${"folder/".repeat(15)}file`;
      await engine.putFiles(id, "/", [
        { path: "srv/keys", mode: 0o700, uid: 0, gid: 0 },
        { path: "srv/keys/one", mode: 0o600, uid: 0, gid: 0, content: "first\n" },
        { path: long, mode: 0o644, uid: 0, gid: 0, content: "deep\n" },
      ]);
      await engine.startContainer(id);
      expect((await runInside(id, "cat", "/srv/keys/one")).stdout).toBe("first\n");
      expect((await runInside(id, "cat", `/${long}`)).stdout).toBe("deep\n");
      await engine.putFiles(id, "/srv/keys", [{ path: "one", mode: 0o600, uid: 0, gid: 0, content: "second\n" }]);
      expect((await runInside(id, "cat", "/srv/keys/one")).stdout).toBe("second\n");
      await expect(engine.putFiles("0".repeat(64), "/", [])).rejects.toMatchObject({ code: "not_found" });
    });

    test("runs programs inside and tells their output and exit code", async () => {
      const id = await startOne();
      expect(await runInside(id, "echo", "hello")).toEqual({ exitCode: 0, stdout: "hello\n", stderr: "" });
      expect((await runInside(id, "false")).exitCode).toBe(1);
      const failed = await runInside(id, "cat", "/no/such/file");
      expect(failed).toMatchObject({ exitCode: 1, stdout: "" });
      expect(failed.stderr).toContain("No such file");
      expect([126, 127]).toContain((await runInside(id, "no-such-program")).exitCode);
    });

    test("runs no program in a container that does not run", async () => {
      const id = await engine.createContainer(makeSpec());
      await expect(engine.exec(id, ["true"])).rejects.toMatchObject({ code: "engine_failed" });
      await expect(engine.exec("0".repeat(64), ["true"])).rejects.toMatchObject({ code: "not_found" });
    });

    test("ends a program that takes too long or is cancelled", async () => {
      const id = await startOne();
      await expect(engine.exec(id, ["sleep", "1000"], { timeoutMs: 100 })).rejects.toMatchObject({ code: "timed_out" });
      const controller = new AbortController();
      const running = engine.exec(id, ["sleep", "1000"], { signal: controller.signal });
      controller.abort();
      await expect(running).rejects.toMatchObject({ code: "cancelled" });
    });

    test("a program ends with its container", async () => {
      const id = await startOne();
      const ended = engine.exec(id, ["sleep", "1000"]).catch((error: Error) => error);
      await engine.exec(id, ["true"]);
      await engine.removeContainer(id);
      expect(await ended).not.toBe(0);
    });

    test("refuses calls that are cancelled beforehand", async () => {
      const signal = AbortSignal.abort();
      await expect(engine.version({ signal })).rejects.toMatchObject({ code: "cancelled" });
      await expect(engine.createContainer(makeSpec(), { signal })).rejects.toMatchObject({ code: "cancelled" });
    });

    test("keeps what a container's first process wrote, and its exit code", async () => {
      const exited = waitForExit(engine, { "io.hardshare.test": `log-${run}` });
      const id = await startOne({ command: ["echo", "last words"], labels: { "io.hardshare.test": `log-${run}` } });
      await exited;
      expect(await engine.tailLogs(id, 10)).toBe("last words\n");
      expect(await engine.inspectContainer(id)).toMatchObject({ isRunning: false, pid: undefined, exitCode: 0 });
      await engine.removeContainer(id);
    });

    test("tells when a container with fitting labels ends, and no other", async () => {
      const labels = { "io.hardshare.test": run, "io.hardshare.host": `h-${run}` };
      const exited = waitForExit(engine, { "io.hardshare.host": `h-${run}` });
      await startOne({ command: ["false"] });
      const id = await startOne({ command: ["false"], labels });
      expect(await exited).toMatchObject({ id, exitCode: 1, labels });
    });

    test("tells of no exit after the watch was ended", async () => {
      const controller = new AbortController();
      const exits: ContainerExit[] = [];
      await engine.watchExits({ "io.hardshare.test": run }, (exit) => exits.push(exit), controller.signal);
      controller.abort();
      const exited = waitForExit(engine, { "io.hardshare.test": run });
      await startOne({ command: ["true"] });
      await exited;
      expect(exits).toEqual([]);
    });
  });
}

async function waitForExit(engine: Engine, labels: Record<string, string>): Promise<ContainerExit> {
  const controller = new AbortController();
  return await new Promise((resolve, reject) => {
    const onExit = (exit: ContainerExit) => {
      controller.abort();
      resolve(exit);
    };
    engine.watchExits(labels, onExit, controller.signal).catch(reject);
  });
}
