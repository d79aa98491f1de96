import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess, run } from "./harness/commands.ts";
import { Lan } from "./harness/lan.ts";
import { containersWith, knock } from "./harness/leftovers.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  ssh_config: string;
  fwd: { port: number };
}

describeWithContainers("isolation of an instance", () => {
  let world: World;
  let lan: Lan;
  let owner: Person;
  let host: OwnHost;
  let deployment: string;
  let mine: Launched;
  let neighbour: Launched;

  beforeAll(async () => {
    lan = await Lan.create();
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    await expectAnswer(owner.run(["init", "--server", world.ready.url]));
    deployment = await host.share("provider: podman\n");
    const other = await host.share("provider: podman\n");
    await host.advertise();
    mine = await owner.json<Launched>("launch", deployment, "--wait");
    neighbour = await owner.json<Launched>("launch", other, "--wait");
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
    await lan[Symbol.asyncDispose]();
  });

  function inside(command: string): Promise<{ code: number | null; stdout: string }> {
    return run("ssh", ["-F", mine.ssh_config, deployment, command], { env: owner.env });
  }

  test("from inside an instance the host, its LAN, another instance and metadata addresses are out of reach", async () => {
    const server = new URL(world.ready.url).port;
    const hostAddress = (await expectSuccess("hostname", ["--all-ip-addresses"])).trim().split(" ")[0] ?? "";
    for (const [address, port] of [
      ["127.0.0.1", server],
      [hostAddress, server],
      [hostAddress, String(world.ready.hub.sshPort)],
      [lan.hostAddress, server],
      [lan.serverAddress, String(lan.serverPort)],
      ["127.0.0.1", String(neighbour.fwd.port)],
      [hostAddress, String(neighbour.fwd.port)],
      ["169.254.169.254", "80"],
      ["fe80::1", "80"],
      ["::ffff:127.0.0.1", server],
      ["10.88.0.1", "22"],
    ]) {
      const result = await inside(`nc -z -w 2 ${address} ${port}`);
      expect([address, port, result.code]).toEqual([address, port, 1]);
    }
    expect(await knock(lan.serverAddress, lan.serverPort)).toBe("open"); // the host itself reaches it
    expect((await inside("ls /sys/class/net")).stdout.trim()).toBe("lo");
  });

  test("inside an instance there are no more privileges and limits than the contract gives", async () => {
    const status = (await inside("cat /proc/self/status")).stdout;
    expect(/NoNewPrivs:\s*1/.test(status)).toBe(true);
    const bounding = BigInt(`0x${/CapBnd:\s*([0-9a-f]+)/.exec(status)?.[1]}`);
    for (const [name, bit] of [
      ["NET_ADMIN", 12n],
      ["SYS_ADMIN", 21n],
      ["SYS_PTRACE", 19n],
      ["NET_RAW", 13n],
      ["SYS_MODULE", 16n],
    ] as const) {
      expect([name, (bounding >> bit) & 1n]).toEqual([name, 0n]);
    }
    const [container = ""] = await containersWith(`io.hardshare.instance=${mine.id}`);
    const [details] = JSON.parse(await expectSuccess("podman", ["inspect", container])) as [{ HostConfig: Record<string, unknown> }];
    expect(details.HostConfig).toMatchObject({ Memory: 1024 ** 3, PidsLimit: 512, NetworkMode: "none" });
  });
});
