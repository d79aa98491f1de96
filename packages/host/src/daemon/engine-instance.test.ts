/** A whole instance in a real container, reached by the system's own ssh. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import type { DeploymentId, DesiredInstance } from "@hardshare/protocol";
import { generateIdentity, pump } from "@hardshare/wire/ssh";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine, ListedContainer } from "../engine/engine.ts";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { describeWithEngine, findRealEngines } from "../testing/real-engines.fixture.ts";

const run = promisify(execFile);

const SERVE = `import net from "node:net";
net.createServer((socket) => socket.end("robot")).listen(0, "127.0.0.1", function () { console.log("127.0.0.1:" + this.address().port); });`;
const CONTRACT = `env: { GREETING: "hello # world" }
limits: { memory: 256m, pids: 64 }
services: [{ name: ROBOT, command: ${process.execPath} serve.mjs }]
init_inside: [./setup.sh one]
`;

for (const real of await findRealEngines()) {
  describeWithEngine(`an instance in ${real.provider}`, real, () => {
    let world: HostWorld;
    let robot: DeploymentId;
    let other: DeploymentId;
    /** Its instances may use a device. */
    let arm: DeploymentId;
    const user = generateIdentity("bob");
    /** One that the user runs. */
    const program = `drive-${real.provider}-${process.pid}`;
    const start = () => world.start({ environment: real.environment, openEngine: undefined });

    beforeAll(async () => {
      await real.ensureImage();
      const made = await HostWorld.make(
        [CONTRACT, "", "devices: [/dev/full]\nsafe_state: [./safe.sh]\n"].map((contract) => `provider: ${real.provider}\n${contract}`),
      );
      world = made.world;
      [robot, other, arm] = made.deployments as [DeploymentId, DeploymentId, DeploymentId];
      await writeFile(join(world.home, "deployments", "serve.mjs"), SERVE);
      await world.script("setup.sh", 'echo "setting up $1"; echo "$1" > /root/was-here');
      await world.script("safe.sh", `pgrep -fc '^${program}' > moving; true`);
      await writeFile(join(world.folder, "key"), user.privateKey, { mode: 0o600 });
      await start();
    }, 600_000);
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
      await using engine = await real.open();
      for (const { id } of await containersLeft(engine)) await engine.removeContainer(id); // of a test that failed
    });

    /** Runs a command in the instance over ssh, through the tunnel. */
    async function ssh(instanceId: string, hostKey: string, command: string): Promise<string> {
      const door = createServer({ allowHalfOpen: true }, (socket) => {
        void world.server.open(instanceId).then((stream) => pump(socket, stream));
      }).listen(0, "127.0.0.1");
      await once(door, "listening");
      const port = (door.address() as AddressInfo).port;
      const known = join(world.folder, "known_hosts");
      await writeFile(known, `[127.0.0.1]:${port} ${hostKey}\n`);
      try {
        const options = ["-F", "none", "-i", join(world.folder, "key"), "-o", `UserKnownHostsFile=${known}`, "-o", "BatchMode=yes"];
        return (await run("ssh", [...options, "-p", String(port), "root@127.0.0.1", command])).stdout;
      } finally {
        door.close();
      }
    }

    async function launch(deployment: DeploymentId): Promise<{ instance: DesiredInstance; hostKey: string }> {
      const instance = world.launch(deployment, { keys: [user.publicKey] });
      const settled = await world.server.until(() =>
        world.server.reports(instance.instanceId).find(({ body }) => body.kind === "up" || body.kind === "ended"),
      );
      expect(settled.body).toMatchObject({ kind: "up" });
      return { instance, hostKey: settled.body.kind === "up" ? (settled.body.hostKeys[0] ?? "") : "" };
    }

    async function namesLeft(): Promise<string[]> {
      await using engine = await real.open();
      return (await containersLeft(engine)).map(({ name }) => name);
    }

    function containersLeft(engine: Engine): Promise<ListedContainer[]> {
      return engine.listContainers({ "io.hardshare.host": world.hostId });
    }

    test("is reached by ssh with its own host key, has its environment and services and nothing else, and leaves nothing", async () => {
      const { instance, hostKey } = await launch(robot);
      const beside = await launch(other);
      const shell = (command: string) => ssh(instance.instanceId, hostKey, command);
      expect(await shell('echo "$GREETING|$HARDSHARE_INSTANCE|$ROBOT"; cat /root/was-here')).toBe(
        `hello # world|${instance.instanceId}|127.0.0.1:22100\none\n`,
      );
      expect(await shell("exec 3<>/dev/tcp/127.0.0.1/22100; cat <&3")).toBe("robot");
      expect((await shell("ls /sys/class/net; cat /proc/net/route | tail -n +2")).trim()).toBe("lo");
      const outside = (await run("hostname", ["-I"])).stdout.trim().split(/\s+/)[0] ?? "10.0.0.1";
      for (const address of [outside, "169.254.169.254", "10.88.0.1"]) {
        expect(await shell(`timeout 3 bash -c '</dev/tcp/${address}/22' 2>&1 || echo unreachable`)).toContain("unreachable");
      }
      expect(await shell("grep -c . /proc/self/status; grep NoNewPrivs /proc/1/status; id -u")).toMatch(/NoNewPrivs:\t1\n0\n$/);
      expect(beside.hostKey).not.toBe(hostKey);
      world.end(robot, instance);
      world.end(other, beside.instance);
      for (const { instanceId } of [instance, beside.instance]) {
        expect(await world.server.report(instanceId, "ended")).toEqual({ kind: "ended", reason: "user", clean: true, residue: [] });
      }
      expect(await namesLeft()).toEqual([]);
      expect(await world.instanceFolders()).toEqual([]);
    });

    test("goes on while its daemon is restarted, and can be reached again with the same host key", async () => {
      const { instance, hostKey } = await launch(robot);
      await ssh(instance.instanceId, hostKey, "echo before > /root/state");
      await world.daemon?.stop({ endInstances: false });
      expect(await namesLeft()).toEqual([`hardshare-${instance.instanceId}`]);
      await start();
      await world.server.report(instance.instanceId, "notice", (body) => body.text.startsWith("adopted"));
      expect(await ssh(instance.instanceId, hostKey, "cat /root/state; exec 3<>/dev/tcp/127.0.0.1/22100; cat <&3")).toBe("before\nrobot");
      world.end(robot, instance);
      expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ clean: true });
      expect(await namesLeft()).toEqual([]);
    });

    test("is killed at an E-stop before the hardware is made safe, also a program without its environment", async () => {
      const { instance, hostKey } = await launch(arm);
      await ssh(instance.instanceId, hostKey, `setsid env -i bash -c 'exec -a ${program} sleep 600' < /dev/null > /dev/null 2>&1 &`);
      await expect.poll(() => run("pgrep", ["-f", `^${program}`]).catch(() => undefined)).toBeDefined();
      await world.server.estop({ deploymentId: arm, instance: null, by: "owner", actor: "olga" });
      expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "estop", clean: true });
      expect(await readFile(join(world.home, "deployments", "moving"), "utf8")).toBe("0\n");
      expect(await namesLeft()).toEqual([]);
    });

    test("ends when its container's SSH server is killed from inside", async () => {
      const { instance, hostKey } = await launch(robot);
      await ssh(instance.instanceId, hostKey, "(sleep 0.2; kill -TERM 1) >/dev/null 2>&1 &");
      expect(await world.server.report(instance.instanceId, "ended")).toMatchObject({ reason: "container_died", clean: true });
      expect(await namesLeft()).toEqual([]);
    });
  });
}
