/** The cable of a host, and then of a hub, is pulled: nobody sends a FIN, and all the same everybody soon knows. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { Cable } from "./harness/cable.ts";
import { expectSuccess, RunningCommand } from "./harness/commands.ts";
import { testFailure } from "./harness/failure.ts";
import { expectAnswer, Person } from "./harness/world.ts";

let folder: string;
let cable: Cable;
let server: RunningCommand<{ url: string; adminTokenFile: string }>;
let at: string[];
let operator: Person;
let owner: Person;
let deployment: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-cable-"));
  await expectSuccess("chmod", ["755", folder]);
  cable = await Cable.lay();
  operator = new Person(folder, "operator");
  owner = new Person(folder, "owner");
  server = new RunningCommand(["serve", "--data-dir", join(folder, "server"), "--host", cable.here, "--port", "0"], operator.env);
  const { url, adminTokenFile } = await server.ready;
  at = ["--server", url, "--token-file", adminTokenFile];
  await expectAnswer(owner.run(["login", ...at]));
  const contract = join(folder, "contract.yaml");
  await writeFile(join(folder, "rules.yaml"), "default: allow\nrules: []\n");
  const robot = `services: [{ name: ROBOT, filter: http, target: "127.0.0.1:9", rules: ${join(folder, "rules.yaml")} }]`;
  await writeFile(contract, `provider: proxy\nprobe: none\n${robot}\n`);
  ({ id: deployment } = await owner.json<{ id: string }>("register", "--contract", contract));
});
afterAll(async () => {
  await server.stop();
  await cable[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const isOnline = async () => (await owner.json<{ online: boolean }>("info", deployment)).online;

testFailure(
  {
    component: "network",
    failure: "cable of the host pulled, and plugged in again",
    userSees: "the deployment is shown offline, so that it cannot be launched, until the host is back",
    survives: "the deployment, which needs nobody's help to be online again",
    promise: "G9",
    recovery: "from plugging it in until the host is connected again",
    withinMs: 10_000,
  },
  async (recovery) => {
    await using daemon = new RunningCommand(["ad"], owner.env, { within: cable.far });
    await daemon.ready;
    expect(await isOnline()).toBe(true);
    const lost = server.untilLog(/"channel":"host".*heard nothing.*host disconnected/);
    await cable.pull();
    await lost;
    expect(await isOnline()).toBe(false);
    const back = server.untilLog(/"channel":"host".*host connected/);
    recovery.begin();
    await cable.plugIn();
    await back;
    recovery.end();
    expect(await isOnline()).toBe(true);
  },
);

testFailure(
  {
    component: "network",
    failure: "cable of the hub pulled, and plugged in again",
    userSees: "launches end with `no_hub` until the hub is back",
    survives: "the server and its hosts",
    promise: "G9",
    recovery: "from plugging it in until the hub is connected again",
    withinMs: 10_000,
  },
  async (recovery) => {
    await using daemon = owner.start("ad");
    await daemon.ready;
    await using hub = new RunningCommand(
      ["hub", "--data-dir", join(folder, "hub"), "--ssh-port", "0", "--bind", cable.there, "--public-host", cable.there, ...at],
      operator.env,
      { within: cable.far },
    );
    await hub.ready;
    const lost = server.untilLog(/"channel":"hub".*heard nothing.*hub disconnected/);
    await cable.pull();
    await lost;
    const refused = await owner.run(["launch", deployment]);
    expect(refused.stderr).toContain("no hub is connected");
    const back = server.untilLog(/"channel":"hub".*hub connected/);
    recovery.begin();
    await cable.plugIn();
    await back;
    recovery.end();
    expect(await owner.json<{ status: string }>("launch", deployment, "--wait")).toMatchObject({ status: "READY" });
    await expectAnswer(owner.run(["terminate"]));
  },
);
