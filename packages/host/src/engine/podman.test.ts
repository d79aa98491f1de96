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
  const shell = async (id: string, script: string): Promise<string> => {
    let text = "";
    await engine.exec(id, ["sh", "-c", script], { onOutput: (chunk) => (text += chunk.toString("utf8")) });
    return text;
  };
  const openEngine = () => openPodmanEngine({ stateFolder: folder, socketFolder, clock: systemClock, random: systemRandom, ...common });

  beforeAll(async () => {
    await ensureImage({ folder, ...common });
    engine = await openEngine();
  }, 600_000);
  afterAll(async () => {
    if (engine !== undefined) {
      for (const { id } of await engine.listContainers(label)) await engine.removeContainer(id);
      await engine[Symbol.asyncDispose]();
    }
    await rm(folder, { recursive: true, force: true });
  });

  test("gives a container its name, its environment, its loopback and nothing to gain privileges with", async () => {
    const id = await startOne();
    expect(await shell(id, "hostname; echo $COLOUR")).toBe("robot\ngreen\n");
    expect(await shell(id, "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '")).toBe("lo\n");
    expect(await shell(id, "grep NoNewPrivs /proc/self/status")).toMatch(/1$/m);
    const capabilities = BigInt(`0x${/CapEff:\s*(\w+)/.exec(await shell(id, "cat /proc/self/status"))?.[1]}`);
    const [sysAdmin, netAdmin, netRaw, mknod] = [21n, 12n, 13n, 27n]; // linux/capability.h
    for (const capability of [sysAdmin, netAdmin, netRaw, mknod]) expect((capabilities >> capability) & 1n).toBe(0n);
  });

  test("holds memory and process limits", async () => {
    const id = await startOne();
    expect(await shell(id, "head -c 200000000 /dev/zero | tail | wc -c")).not.toContain("200000000");
    expect(await shell(id, "for i in $(seq 60); do sleep 30 & done 2>&1; kill $(jobs -p)")).toMatch(/fork|temporarily unavailable/i);
  });

  test("shows a device file of the contract inside", async () => {
    const id = await startOne({ devices: ["/dev/full"] });
    expect(await shell(id, "echo x > /dev/full || echo full")).toContain("full");
  });

  test("loses no output of a program", async () => {
    const id = await startOne();
    let size = 0;
    await engine.exec(id, ["head", "-c", "5000000", "/dev/zero"], { onOutput: (chunk) => (size += chunk.length) });
    expect(size).toBe(5_000_000);
  });

  test("kills a cancelled program with all that it started", async () => {
    const id = await startOne();
    await expect(engine.exec(id, ["sh", "-c", "sleep 501 & sleep 502"], { timeoutMs: 300 })).rejects.toMatchObject({ code: "timed_out" });
    expect(await shell(id, "pgrep -f 'sleep 50[12]' | grep -v $$ | wc -l")).toBe("0\n");
  });

  test("an SSH server answers soon after the image's own start", async () => {
    const id = await startOne({ command: undefined });
    // the server says so on its standard error when it listens
    const banner = await shell(
      id,
      "until exec 3<>/dev/tcp/127.0.0.1/22; do :; done 2>/dev/null; head -1 <&3 || true".replace(/^/, "bash -c '").concat("'"),
    );
    expect(banner).toMatch(/^SSH-2\.0-/);
    expect(await shell(id, "ls /etc/ssh/ssh_host_*")).toBe("/etc/ssh/ssh_host_ed25519_key\n/etc/ssh/ssh_host_ed25519_key.pub\n");
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
