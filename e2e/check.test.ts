/** `hardshare check` with a real server, hub and container, and what becomes of a deployment that is dissolved. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectSuccess, HARDSHARE } from "./harness/commands.ts";
import { describeWithContainers } from "./harness/containers.ts";
import { containersWith, processesWith } from "./harness/leftovers.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, type Person, World } from "./harness/world.ts";

interface Checked {
  findings: { code: string; severity: string; deployment: string | null; cause: string }[];
}

describeWithContainers("checking and dissolving a deployment", () => {
  let world: World;
  let owner: Person;
  let host: OwnHost;
  let robot: string;
  let marker: string;
  let contract: string;

  beforeAll(async () => {
    world = await World.create();
    owner = await world.user("olga");
    host = new OwnHost(owner);
    await owner.prepare("init", "--server", world.ready.url);
    marker = join(world.folder, "did");
    const note = join(world.folder, "note.sh");
    await writeFile(note, `#!/bin/sh\necho "$HARDSHARE_EVENT $HARDSHARE_INSTANCE" >> ${marker}\n`, { mode: 0o755 });
    contract = ["provider: podman", `init: [${note}]`, "init_inside: ['true']", `terminate: [${note}]`, `baseline: [${note}]`, ""].join(
      "\n",
    );
    robot = await host.share(contract);
  });

  afterAll(async () => {
    await host[Symbol.asyncDispose]();
    await world[Symbol.asyncDispose]();
  });

  async function check(...args: string[]): Promise<{ code: number | null; codes: string[]; findings: Checked["findings"] }> {
    const result = await owner.run(["check", robot, "--format", "json", ...args]);
    const { findings } = JSON.parse(result.stdout) as Checked;
    return { code: result.code, codes: findings.map(({ code }) => code).filter((each) => !each.startsWith("disk_")), findings };
  }

  async function expectNothingLeft(): Promise<void> {
    const trial = `00000000${robot.slice(8)}`;
    expect(await containersWith(`io.hardshare.deployment=${robot}`)).toEqual([]);
    // podman keeps the watcher of a program that was run inside for five minutes.
    expect((await processesWith(trial)).filter((line) => !line.includes("--exec-attach"))).toEqual([]);
  }

  test("without a daemon it launches and ends the container on trial, with all programs, and leaves nothing", async () => {
    expect(await check()).toMatchObject({ code: 0, codes: ["not_offered", "nothing_given", "trial_passed"] });
    expect((await readFile(marker, "utf8")).split("\n").map((line) => line.split(" ")[0])).toEqual(["init", "terminate", "baseline", ""]);
    await expectNothingLeft();
  });

  test("a check that is interrupted while an init program runs undoes the trial", async () => {
    const file = join(owner.env["HARDSHARE_HOME"] ?? "", "deployments", `${robot}.yaml`);
    const running = join(world.folder, "running");
    await expectSuccess("mkfifo", [running]);
    const hang = join(world.folder, "hang.sh");
    await writeFile(hang, `#!/bin/sh\necho runs > ${running}\nsleep 100000\n`, { mode: 0o755 });
    await writeFile(file, contract.replace(/init: .*/, `init: [${hang}]`));
    await rm(marker);
    const checking = spawn(process.execPath, [HARDSHARE, "check", robot], { env: { ...process.env, ...owner.env }, stdio: "ignore" });
    expect(await expectSuccess("cat", [running])).toBe("runs\n");
    checking.kill("SIGINT");
    await once(checking, "close");
    await writeFile(file, contract);
    expect((await readFile(marker, "utf8")).split("\n").slice(0, 2)).toMatchObject(
      [/terminate/, /baseline/].map((each) => expect.stringMatching(each)),
    );
    await expectNothingLeft();
  });

  test("an image that is not there is an error, and the command ends with 1", async () => {
    const file = join(owner.env["HARDSHARE_HOME"] ?? "", "deployments", `${robot}.yaml`);
    await writeFile(file, contract.replace("provider: podman", "provider: podman\nimage: localhost/hardshare/no-such-image"));
    expect(await check("--fail-fast")).toMatchObject({ code: 1, codes: ["not_offered", "image_missing"] });
    await writeFile(file, contract);
  });

  test("without a daemon nothing is moved while the server says that the deployment is locked out", async () => {
    await rm(marker, { force: true });
    await expectAnswer(owner.run(["lock", robot, "--reason", "somebody stands beside the arm"]));
    const locked = await check();
    expect(locked).toMatchObject({ code: 1, codes: ["locked_out", "not_offered", "nothing_given", "trial_skipped"] });
    await expect(access(marker)).rejects.toThrow();
    await expectAnswer(owner.run(["unlock", robot]));
  });

  test("with a daemon the daemon tries, and what the server says of the deployment is told", async () => {
    await host.advertise();
    expect(await check()).toMatchObject({ code: 0, codes: ["nothing_given", "trial_passed"] });
    await expectNothingLeft();
    await expectAnswer(owner.run(["lock", robot, "--reason", "new wheels"]));
    const locked = await check();
    expect(locked).toMatchObject({ code: 1, codes: ["locked_out", "nothing_given", "trial_skipped"] });
    expect(locked.findings[0]?.cause).toContain("new wheels");
    await expectAnswer(owner.run(["unlock", robot]));
  });

  test("a dissolved deployment is gone from its host, which keeps the contract aside, and is listed only when asked for", async () => {
    const refused = await owner.run(["dissolve", robot]);
    expect(refused.stderr).toContain("--yes");
    await expectAnswer(owner.run(["dissolve", robot, "--yes", "--reason", "the arm was sold"]));
    expect((await owner.run(["launch", robot])).stderr).toContain("permanently unavailable");
    const list = async (...args: string[]) => (await expectAnswer(owner.run(["list", ...args]))).stdout;
    expect(await list()).not.toContain(robot);
    expect(await list("--include-dissolved")).toContain("the arm was sold");
    const folder = join(owner.env["HARDSHARE_HOME"] ?? "", "deployments");
    await host.daemon.stop();
    await access(join(folder, `${robot}.yaml.dissolved`));
    expect(await readFile(join(owner.env["HARDSHARE_HOME"] ?? "", "config.yaml"), "utf8")).not.toContain(robot);
  });
});
