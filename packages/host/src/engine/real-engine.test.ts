/** What only a real engine can show. */
import { PseudoTerminal } from "@hardshare/filters/terminal";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { GENERIC_IMAGE } from "../image/ensure-image.ts";
import { killContainerProcesses } from "../programs/labelled-processes.ts";
import { describeWithEngine, findRealEngines } from "../testing/real-engines.fixture.ts";
import type { ContainerSpec, Engine } from "./engine.ts";

for (const real of await findRealEngines()) {
  describeWithEngine(`${real.provider}, a real engine,`, real, () => {
    const label = { "io.hardshare.test": `real-${process.pid}` };
    let engine: Engine;
    const startOne = async (changes: Partial<ContainerSpec> = {}): Promise<string> => {
      const id = await engine.createContainer({
        image: GENERIC_IMAGE,
        name: `hs-real-${process.pid}-${systemRandom.uuid().slice(0, 8)}`,
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

    beforeAll(async () => {
      await real.ensureImage();
      engine = await real.open();
    }, 600_000);
    afterAll(async () => {
      if (engine === undefined) return;
      for (const { id } of await engine.listContainers(label)) await engine.removeContainer(id);
      await engine[Symbol.asyncDispose]();
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

    test("all its processes can be killed without the engine, also when none has its environment any more", async () => {
      const id = await startOne({ command: ["env", "-i", "/bin/sleep", "1000"] });
      const beside = await startOne({ command: ["env", "-i", "/bin/sleep", "1000"] });
      await killContainerProcesses({ instanceId: "none", containerId: id }, systemClock);
      await expect.poll(async () => (await engine.inspectContainer(id)).isRunning).toBe(false);
      expect((await engine.inspectContainer(beside)).isRunning).toBe(true);
    });

    test("shows a device file of the contract inside", async () => {
      const id = await startOne({ devices: ["/dev/full"] });
      expect(await shell(id, "echo x > /dev/full || echo full")).toContain("full");
    });

    test("shows a terminal of this computer inside as the device file that it is told, for ordinary tools", async () => {
      let came = "";
      await using terminal = await PseudoTerminal.open({
        onData: (bytes) => (came += bytes.toString("latin1")),
        onDrain: () => {},
        onClosed: () => {},
      });
      const id = await startOne({ mounts: [{ host: terminal.path, inside: "/dev/ttyUSB0" }] });
      expect(
        await shell(id, "test -c /dev/ttyUSB0 && stty -F /dev/ttyUSB0 9600 && stty -F /dev/ttyUSB0 speed && echo hi > /dev/ttyUSB0"),
      ).toBe("9600\n");
      await expect.poll(() => came).toBe("hi\n");
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
  });
}
