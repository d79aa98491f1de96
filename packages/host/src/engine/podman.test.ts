/** What only a real podman can show. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureImage, GENERIC_IMAGE } from "../image/ensure-image.ts";
import type { ContainerExit, ContainerSpec, Engine } from "./engine.ts";
import { openPodmanEngine } from "./open-podman.ts";
import { preparePodman } from "./podman-setup.ts";

const folder = await mkdtemp(join(tmpdir(), "hs-podman-"));
const common = { environment: process.env, logger: silentLogger };
const problem = await preparePodman({ folder, ...common }).then(
  () => undefined,
  (error: Error) => error.message,
);
const isLeftOut = problem !== undefined && process.env["CI"] === undefined;
const label = { "io.hardshare.test": `podman-${process.pid}` };
const socketFolder = join(folder, "s");

describe.skipIf(isLeftOut)(isLeftOut ? `podman (left out: ${problem})` : "podman", () => {
  let engine: Engine;
  const startOne = async (changes: Partial<ContainerSpec> = {}): Promise<string> => {
    const id = await engine.createContainer({
      image: GENERIC_IMAGE,
      name: `hs-podman-${process.pid}-${systemRandom.uuid().slice(0, 8)}`,
      hostname: "robot",
      labels: label,
      env: { COLOUR: "green" },
      command: ["sleep", "1000"],
      limits: { memoryBytes: 64 * 1024 ** 2, cpus: 0.5, pids: 32 },
      devices: [],
      network: "none",
      ...changes,
    });
    await engine.startContainer(id);
    return id;
  };
  const openEngine = () => openPodmanEngine({ stateFolder: folder, socketFolder, clock: systemClock, random: systemRandom, ...common });

  beforeAll(async () => {
    await ensureImage({ provider: "podman", folder, ...common });
    engine = await openEngine();
  }, 600_000);
  afterAll(async () => {
    if (engine !== undefined) {
      for (const { id } of await engine.listContainers(label)) await engine.removeContainer(id);
      await engine[Symbol.asyncDispose]();
    }
    await rm(folder, { recursive: true, force: true });
  });

  test("containers outlive the service, which comes back by itself, and no exit is missed meanwhile", async () => {
    const id = await startOne({ labels: { ...label, role: "survivor" } });
    const { pid } = await engine.inspectContainer(id);
    const controller = new AbortController();
    const exited = new Promise<ContainerExit>((resolve, reject) => {
      engine.watchExits({ role: "survivor" }, resolve, controller.signal).catch(reject);
    });
    await engine.version();
    for (const service of await servicePids(socketFolder)) process.kill(service, "SIGKILL");
    process.kill(pid ?? 0, "SIGKILL");
    expect(await exited).toMatchObject({ id, exitCode: 137 });
    controller.abort();
    expect(await engine.inspectContainer(id)).toMatchObject({ isRunning: false, exitCode: 137 });
  });

  test("the service ends with the process that started it, even when that is killed", async () => {
    const otherSockets = join(folder, "t");
    const program = `
      import { openPodmanEngine } from ${JSON.stringify(fileURLToPath(new URL("open-podman.ts", import.meta.url)))};
      import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
      await openPodmanEngine({ stateFolder: ${JSON.stringify(folder)}, socketFolder: ${JSON.stringify(otherSockets)},
        environment: process.env, clock: systemClock, random: systemRandom, logger: silentLogger });
      process.stdout.write("open");
    `;
    const child = spawn(process.execPath, ["--import", "tsx", "--conditions=@hardshare/source", "--input-type=module", "-e", program], {
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    const [service] = await servicePids(otherSockets);
    expect(service).toBeGreaterThan(1);
    const gone = spawn("tail", ["--pid", String(service), "-f", "/dev/null"]); // ends when that process does
    child.kill("SIGKILL");
    await once(gone, "exit");
    expect(await servicePids(otherSockets)).toEqual([]);
  });

  test("what was found out about this machine is kept and used again", async () => {
    const stamp = await readFile(join(folder, "podman-tried"), "utf8");
    const again = await openPodmanEngine({
      stateFolder: folder,
      socketFolder: join(folder, "u"),
      clock: systemClock,
      random: systemRandom,
      ...common,
    });
    expect((await again.version()).version).toMatch(/^\d/);
    await again[Symbol.asyncDispose]();
    expect(await readFile(join(folder, "podman-tried"), "utf8")).toBe(stamp);
  });
});

/** The processes that serve a socket in this folder. */
async function servicePids(folder: string): Promise<number[]> {
  const search = spawn("pgrep", ["-f", `podman system service.*${folder}/podman.sock`], { stdio: ["ignore", "pipe", "ignore"] });
  let text = "";
  search.stdout.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  await once(search, "close");
  return text.trim().split("\n").filter(Boolean).map(Number);
}
