/** A server that is lost and comes back from an older backup: nothing has to be set up anew, and no epoch is given twice. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { RunningCommand } from "./harness/commands.ts";
import { testFailure } from "./harness/failure.ts";
import { makeFolder } from "./harness/folder.ts";
import { findFreePort } from "./harness/network.ts";
import { expectAnswer, Person } from "./harness/world.ts";

interface Launched {
  id: string;
  status: string;
  epoch: number;
}

let folder: string;
beforeAll(async () => {
  folder = await makeFolder("backup");
});
afterAll(() => rm(folder, { recursive: true, force: true }));

testFailure(
  {
    component: "server",
    failure: "lost with its disk, and restored from an older backup",
    userSees: "instances that are newer than the backup end; nobody has to log in or to be set up anew",
    survives: "hosts, hubs, users and tokens; no epoch is given twice",
    promise: "G1",
    recovery: "from its start until a launch is READY",
    withinMs: 20_000,
  },
  async (recovery) => {
    const operator = new Person(folder, "operator");
    const owner = new Person(folder, "owner");
    const port = String(await findFreePort());
    const serve = (name: string) =>
      new RunningCommand<{ url: string; adminTokenFile: string }>(
        ["serve", "--data-dir", join(folder, name), "--port", port],
        operator.env,
      );
    const first = serve("first");
    const { url, adminTokenFile } = await first.ready;
    const at = ["--server", url, "--token-file", adminTokenFile];
    await using hub = operator.start("hub", "--data-dir", join(folder, "hub"), "--ssh-port", "0", ...at);
    await hub.ready;
    await using robot = operator.start<{ url: string }>("sim");
    const device = new URL((await robot.ready).url).host;
    await owner.prepare("login", ...at);
    const contract = join(folder, "contract.yaml");
    await writeFile(join(folder, "rules.yaml"), "default: allow\nrules: []\n");
    await writeFile(
      contract,
      `provider: proxy\nservices: [{ name: ROBOT, filter: http, target: "${device}", rules: ${join(folder, "rules.yaml")} }]\n`,
    );
    const { id } = await owner.prepare<{ id: string }>("register", "--contract", contract);
    await using daemon = owner.start("ad");
    await daemon.ready;
    const launch = () => owner.json<Launched>("launch", id, "--wait");
    expect(await launch()).toMatchObject({ status: "READY", epoch: 1 });
    await expectAnswer(owner.run(["terminate"]));

    const file = join(folder, "backup");
    await expectAnswer(operator.run(["backup", file, "--data-dir", join(folder, "first")]));
    await expectAnswer(owner.run(["launch", id, "--wait"]));
    await expectAnswer(owner.run(["terminate"]));
    const newer = await launch();
    expect(newer).toMatchObject({ status: "READY", epoch: 3 });
    const back = Promise.all([daemon, hub].map((program) => program.untilLog(/connected to the server/)));
    await first.stop("SIGKILL");

    await expectAnswer(operator.run(["restore", file, "--data-dir", join(folder, "second")]));
    recovery.begin();
    await using second = serve("second");
    await second.ready;
    await back;
    const again = await launch();
    recovery.end();
    expect(again.status).toBe("READY");
    expect(again.epoch).toBeGreaterThan(newer.epoch);
    expect((await owner.run(["info", newer.id])).code).toBe(1); // the restored server has never heard of it
    await expectAnswer(owner.run(["terminate"]));
  },
);
