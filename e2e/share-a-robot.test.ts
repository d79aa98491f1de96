import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { expectSuccess, run } from "./harness/commands.ts";
import { containersWith, processesLeft, processesWith } from "./harness/leftovers.ts";
import { knock } from "./harness/network.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Launched {
  id: string;
  status: string;
  deployment: string;
  ssh_config: string;
  fwd?: { ipv4?: string; port?: number };
}

let world: World;
let admin: Person;

beforeAll(async () => {
  world = await World.create();
  admin = await world.admin();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

describeWithContainers("a container instance", () => {
  let launched: Launched;
  let deployment: string;

  beforeAll(async () => {
    deployment = world.deployment("podman");
    launched = await admin.json<Launched>("launch", deployment, "--for", "30m", "--wait");
  });

  afterAll(async () => {
    await admin.run(["terminate", launched.id]);
  });

  test("is READY, with a public port between 22000 and 27999", () => {
    expect(launched.status).toBe("READY");
    expect(launched.fwd?.port).toBeGreaterThanOrEqual(22_000);
    expect(launched.fwd?.port).toBeLessThan(28_000);
  });

  test.each([
    ["the public port", ""],
    ["the jump host", "-jump"],
    ["the server's port by WebSocket", "-ws"],
  ])("is reached by plain ssh through %s, and hands on the exit code", async (_way, suffix) => {
    const ssh = (...command: string[]) => run("ssh", ["-F", launched.ssh_config, `${deployment}${suffix}`, ...command], { env: admin.env });
    expect((await expectAnswer(ssh("hostname"))).stdout).toBe(`hs-${launched.id.slice(0, 8)}\n`);
    expect((await ssh("exit 42")).code).toBe(42);
  });

  test.each([
    ["hub", "hardshare-hub", [0, 255, 0]],
    ["instance", () => launched.id, [255, 255, 255]],
  ] as const)(
    "is not entered where the %s's SSH host key is another than the written one: by public port, jump host, WebSocket",
    async (_whose, alias, codes) => {
      const knownHosts = join(dirname(launched.ssh_config), "known_hosts");
      const written = await readFile(knownHosts, "utf8");
      const name = typeof alias === "string" ? alias : alias();
      const other = join(world.folder, `other-key-${name}`);
      await expectSuccess("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", other]);
      const swapped = written.replaceAll(new RegExp(`^${name} .*$`, "gm"), `${name} ${(await readFile(`${other}.pub`, "utf8")).trim()}`);
      expect(swapped).not.toBe(written);
      await writeFile(knownHosts, swapped);
      try {
        for (const [index, suffix] of ["", "-jump", "-ws"].entries()) {
          const { code, stdout, stderr } = await run("ssh", ["-F", launched.ssh_config, `${deployment}${suffix}`, "echo inside"], {
            env: admin.env,
          });
          const isEntered = codes[index] === 0;
          expect([suffix, code, stdout]).toEqual([suffix, codes[index], isEntered ? "inside\n" : ""]);
          if (!isEntered) expect(stderr).toContain("Host key verification failed");
        }
      } finally {
        await writeFile(knownHosts, written);
      }
    },
  );

  test.each([
    ["the public port", ""],
    ["the jump host", "-jump"],
    ["the server's port by WebSocket", "-ws"],
  ])("takes a file by SFTP through %s and gives back the same bytes", async (_way, suffix) => {
    const bytes = randomBytes(3_000_017);
    const [there, back] = [join(world.folder, `there${suffix}`), join(world.folder, `back${suffix}`)];
    await writeFile(there, bytes);
    await expectSuccess("sftp", ["-b", "-", "-F", launched.ssh_config, `${deployment}${suffix}`], {
      env: admin.env,
      input: `put ${there} /tmp/file${suffix}\nget /tmp/file${suffix} ${back}\n`,
    });
    expect((await readFile(back)).equals(bytes)).toBe(true);
  });

  test("is reached by `hardshare ssh`, which ends with the remote command's code", async () => {
    const result = await admin.run(["ssh", launched.id, "--", "echo $HARDSHARE_INSTANCE; exit 7"]);
    expect(result.stdout.trim()).toBe(launched.id);
    expect(result.code).toBe(7);
  });

  test("gives the jump user nothing but the way to the instance", async () => {
    const hub = `${deployment}-hub`;
    const noShell = await run("ssh", ["-F", launched.ssh_config, hub, "id"], { env: admin.env });
    expect(noShell.code).toBe(255);
    expect(noShell.stdout).toBe("");
    const elsewhere = await run("ssh", ["-F", launched.ssh_config, "-W", `127.0.0.1:${new URL(world.ready.url).port}`, hub], {
      env: admin.env,
    });
    expect(elsewhere.code).not.toBe(0);
    const remote = await run("ssh", ["-F", launched.ssh_config, "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:22", hub], {
      env: admin.env,
    });
    expect(remote.code).toBe(255);
  });

  test("talks to its service, and what the contract refuses never reaches the robot", async () => {
    const inside = async (...curl: string[]) =>
      (await expectAnswer(admin.run(["ssh", launched.id, "--", "curl", "-s", "-w", "%{http_code}", ...curl]))).stdout;
    expect(await inside("http://$ROBOT/api/battery")).toMatch(/200$/);
    const before = await ledger();
    expect(await inside("-X", "POST", "http://$ROBOT/api/reboot")).toMatch(/403$/);
    const after = await ledger();
    expect(after.filter((entry) => entry.action.includes("reboot"))).toEqual([]);
    expect(after.length).toBe(before.length);
  });

  test("is reached only from addresses that its firewall rules accept, whichever way in", async () => {
    const codes = async () => {
      const codes: (number | null)[] = [];
      for (const suffix of ["", "-jump", "-ws"]) {
        codes.push((await run("ssh", ["-F", launched.ssh_config, `${deployment}${suffix}`, "true"], { env: admin.env })).code);
      }
      return codes;
    };
    await expectAnswer(admin.run(["firewall", "add", launched.id, "--source", "192.0.2.0/24"]));
    expect(await codes()).toEqual([255, 255, 255]);
    await expectAnswer(admin.run(["firewall", "add", launched.id, "--source", "127.0.0.0/8"]));
    expect(await codes()).toEqual([0, 0, 0]);
  });

  test("is out at the end: port closed, traffic cut; container, relay, filter and processes gone", async () => {
    const { port = 0 } = launched.fwd ?? {};
    const session = run("ssh", ["-F", launched.ssh_config, deployment, "sleep 600"], { env: admin.env });
    expect(await containersWith(`io.hardshare.instance=${launched.id}`)).toHaveLength(1);
    expect(await processesWith(launched.id)).not.toEqual([]);
    await expectAnswer(admin.run(["terminate", launched.id]));
    expect((await session).code).toBe(255);
    expect(await knock("127.0.0.1", port)).toBe("ECONNREFUSED");
    expect(await containersWith(`io.hardshare.instance=${launched.id}`)).toEqual([]);
    expect(await processesLeft(launched.id)).toEqual([]);
    const gone = await run("ssh", ["-F", launched.ssh_config, `${deployment}-jump`, "true"], { env: admin.env });
    expect(gone.code).toBe(255);
    expect((await admin.json<Launched>("info", launched.id)).status).toBe("TERMINATED");
  });
});

describeWithContainers("a person whose home has a blank in its path", () => {
  let launched: Launched;
  let person: Person;

  beforeAll(async () => {
    person = await world.admin("home of the admin");
    launched = await person.json<Launched>("launch", world.deployment("podman"), "--wait");
  });

  afterAll(async () => {
    await person.run(["terminate", launched.id]);
  });

  test.each([
    ["the public port", ""],
    ["the jump host", "-jump"],
    ["the server's port by WebSocket", "-ws"],
  ])("gets in by plain ssh through %s", async (_way, suffix) => {
    expect(launched.ssh_config).toContain(" ");
    const { stdout } = await expectAnswer(
      run("ssh", ["-F", launched.ssh_config, `${launched.deployment}${suffix}`, "hostname"], { env: person.env }),
    );
    expect(stdout).toBe(`hs-${launched.id.slice(0, 8)}\n`);
  });

  test("gets in by `hardshare ssh`", async () => {
    const { stdout } = await expectAnswer(person.run(["ssh", launched.id, "--", "hostname"]));
    expect(stdout).toBe(`hs-${launched.id.slice(0, 8)}\n`);
  });
});

describe("a proxy instance", () => {
  test("passes what the contract allows and refuses a reboot, by public port and by `hardshare forward`", async () => {
    const launched = await admin.json<Launched>("launch", world.deployment("proxy"), "--wait");
    try {
      const direct = `http://127.0.0.1:${launched.fwd?.port}`;
      const forward = admin.start<{ url?: string; host: string; port: number }>("forward", launched.id);
      await using _ = forward;
      const through = await forward.ready;
      for (const base of [direct, `http://${through.host}:${through.port}`]) {
        const allowed = await fetch(`${base}/api/sensors`);
        expect(allowed.status).toBe(200);
        const refused = await fetch(`${base}/api/reboot`, { method: "POST" });
        expect(refused.status).toBe(403);
        expect(await refused.json()).toMatchObject({ rule: "POST /api/reboot", because: expect.any(String) });
      }
      const drive = await fetch(`${direct}/api/drive/time`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ LinearVelocity: 1, AngularVelocity: 0, TimeMS: 100 }),
      });
      expect(drive.status).toBe(200);
      const actions = (await ledger()).map((entry) => entry.action);
      expect(actions.filter((action) => action.includes("reboot"))).toEqual([]);
      expect(actions.some((action) => action.includes("drive"))).toBe(true);

      const ssh = await admin.run(["ssh", launched.id]);
      expect(ssh.code).toBe(255);
      expect(ssh.stderr).toContain("forward");
    } finally {
      await expectAnswer(admin.run(["terminate", launched.id]));
    }
    expect(await knock("127.0.0.1", launched.fwd?.port ?? 0)).toBe("ECONNREFUSED");
  });
});

async function ledger(): Promise<{ action: string }[]> {
  const answer = (await (await fetch(`${world.ready.robot.url}/ledger`)).json()) as { entries: { action: string; kind: string }[] };
  return answer.entries;
}
