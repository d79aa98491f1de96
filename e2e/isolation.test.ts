import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { type CommandResult, expectSuccess, run } from "./harness/commands.ts";
import { Lan } from "./harness/lan.ts";
import { containersWith } from "./harness/leftovers.ts";
import { knock, OpenPort, ownAddresses } from "./harness/network.ts";
import { OwnHost } from "./harness/own-host.ts";
import { type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  ssh_config: string;
  fwd: { port: number };
}

describeWithContainers("isolation of an instance", () => {
  let world: World;
  let lan: Lan;
  /** The host listens on all of its addresses. */
  let open: OpenPort;
  let owner: Person;
  let host: OwnHost;
  let deployment: string;
  let otherDeployment: string;
  let mine: Launched;
  let neighbour: Launched;

  beforeAll(async () => {
    lan = await Lan.create();
    open = await OpenPort.create();
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    await owner.prepare("init", "--server", world.ready.url);
    const rules = join(world.folder, "robot.rules.yaml");
    await writeFile(rules, "default: block\nrules:\n  - allow: GET /api/battery\n");
    const robot = new URL(world.ready.robot.url).host;
    deployment = await host.share(`provider: podman\nservices:\n  - { name: ROBOT, filter: http, target: "${robot}", rules: ${rules} }\n`);
    otherDeployment = await host.share("provider: podman\n");
    await host.advertise();
    mine = await owner.json<Launched>("launch", deployment, "--wait");
    neighbour = await owner.json<Launched>("launch", otherDeployment, "--wait");
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
    await open[Symbol.asyncDispose]();
    await lan[Symbol.asyncDispose]();
  });

  function inside(command: string): Promise<CommandResult> {
    return run("ssh", ["-F", mine.ssh_config, deployment, command], { env: owner.env });
  }

  function insideNeighbour(command: string): Promise<CommandResult> {
    return run("ssh", ["-F", neighbour.ssh_config, otherDeployment, command], { env: owner.env });
  }

  /** What `nc` meets inside, in words. */
  async function knockInside(address: string, port: number): Promise<string> {
    const { code, stderr } = await inside(`nc -vz -w 2 ${address} ${port}`);
    return code === 0 ? "open" : `${code}: ${stderr.trim()}`;
  }

  test("from inside an instance the host, its LAN and metadata addresses, all of which the host reaches, are out of reach", async () => {
    const targets: [string, number][] = [
      ...[...ownAddresses(), lan.hostAddress].map((address): [string, number] => [address, open.port]),
      ["::ffff:127.0.0.1", open.port],
      ["127.0.0.1", Number(new URL(world.ready.url).port)],
      ["127.0.0.1", world.ready.hub.sshPort],
      ["127.0.0.1", Number(new URL(world.ready.robot.url).port)],
      ["127.0.0.1", neighbour.fwd.port],
      [lan.serverAddress, lan.serverPort],
      [lan.metadataAddress, lan.metadataPort],
    ];
    for (const [address, port] of targets) {
      expect([address, port, await knock(address, port)]).toEqual([address, port, "open"]);
      expect([address, port, await knockInside(address, port)]).toEqual([
        address,
        port,
        expect.stringMatching(/^1: .*(refused|unreachable|timed out)/),
      ]);
    }
  });

  test("from inside an instance another one is out of reach, whatever listens there", async () => {
    const port = 7777;
    const listening = `python3 -u -m http.server ${port} --bind 0.0.0.0`;
    const server = spawn("ssh", ["-F", neighbour.ssh_config, otherDeployment, listening], {
      env: { ...process.env, ...owner.env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      await once(server.stdout, "data"); // "Serving HTTP on …"
      expect((await insideNeighbour(`nc -z -w 2 127.0.0.1 ${port}`)).code).toBe(0);
      expect(await knockInside("127.0.0.1", port)).toMatch(/^1: .*refused/);
      // There is no other address to try: neither has more than its own loopback.
      for (const side of [inside, insideNeighbour]) expect((await side("ls /sys/class/net")).stdout).toBe("lo\n");
    } finally {
      server.kill("SIGKILL");
    }
  });

  test("from inside an instance the service that its contract names is reached, and judged", async () => {
    expect((await inside("nc -z -w 2 ${ROBOT%:*} ${ROBOT##*:}")).code).toBe(0);
    const status = async (curl: string) => (await inside(`curl -s -o /dev/null -w '%{http_code}' ${curl}`)).stdout;
    expect(await status("http://$ROBOT/api/battery")).toBe("200");
    expect(await status("http://$ROBOT/api/sensors")).toBe("403");
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
