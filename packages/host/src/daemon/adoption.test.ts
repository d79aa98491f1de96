import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import type { DeploymentId } from "@hardshare/protocol";
import { Deferred, systemRandom } from "@hardshare/runtime";
import { readHostKey } from "@hardshare/wire/ssh";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { HostWorld } from "../testing/host-world.fixture.ts";
import { makeRestartWorld, type RestartWorld, SERVE, SERVICE } from "../testing/restart-world.fixture.ts";
import { NamespaceEngine, TEST_IMAGE, whyNoNamespaces } from "../testing/namespace-engine.fixture.ts";
import { reloadFiles } from "./control-client.ts";

let made: RestartWorld;
let world: HostWorld;
let container: DeploymentId;
let engine: NamespaceEngine;

beforeEach(async () => {
  made = await makeRestartWorld([SERVICE]);
  ({ world, engine } = made);
  [container] = made.deployments as [DeploymentId];
});
afterEach(() => made[Symbol.asyncDispose]());

const beside = (name: string) => made.beside(name);
const startWithEngine = () => made.startWithEngine();

const problem = whyNoNamespaces();
const name = "a container that goes on while the daemon is restarted";
describe.skipIf(problem !== undefined)(problem === undefined ? name : `${name} (left out: ${problem})`, () => {
  test("is adopted: made safe, its services and its tunnel made anew", async () => {
    const first = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    await first.stop({ endInstances: false });
    expect(await engine.listContainers({})).toHaveLength(1);
    await world.server.until(() => world.server.forwards(instanceId).length === 0 || undefined);
    expect(await beside("ended")).toBe("");
    const before = world.server.reports(instanceId).at(-1)?.sequence ?? 0;
    await startWithEngine();
    expect(await world.server.report(instanceId, "notice", (body) => body.text.startsWith("adopted"))).toBeDefined();
    expect(world.described(container)?.current).toMatchObject({ instanceId, epoch: 1 });
    const stream = await world.server.open(instanceId);
    expect(await readHostKey(stream, AbortSignal.timeout(5000))).toBe(engine.hostKey.trim());
    expect(world.server.reports(instanceId).at(-1)?.sequence).toBeGreaterThan(before);
    expect(await beside("made-safe")).toContain(instanceId);
    world.server.tell(container, null);
    expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "not_desired", clean: true });
    expect(await engine.listContainers({})).toEqual([]);
  });

  test("goes on when its deployment, taken from the configuration, is put back into it", async () => {
    const first = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    await first.stop({ endInstances: false });
    const config = await readFile(join(world.home, "config.yaml"), "utf8");
    await writeFile(join(world.home, "config.yaml"), config.replace(`deployments:\n  - id: ${container}\n`, "deployments: []\n"));
    const second = await startWithEngine();
    await world.server.report(instanceId, "notice", (body) => body.text.startsWith("adopted"));
    await writeFile(join(world.home, "config.yaml"), config);
    await reloadFiles({ state: world.state });
    expect(second.status().deployments.find(({ id }) => id === container)).toMatchObject({
      provider: "podman",
      instance: { id: instanceId, phase: "up" },
    });
    world.server.tell(container, null);
    expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "not_desired", clean: true });
    expect(await engine.listContainers({})).toEqual([]);
  });

  test("is undone when it dies after the last step of its adoption", async () => {
    const first = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    await first.stop({ endInstances: false });
    const died = new Deferred();
    world.failpoints.actions.set("host.launch.banner.after", async () => {
      await engine.watchExits({}, () => died.resolve(), new AbortController().signal);
      const [found] = await engine.listContainers({});
      engine.crash(found?.id ?? "");
      await died.promise;
    });
    await startWithEngine();
    expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "container_died", clean: true });
    expect(await engine.listContainers({})).toEqual([]);
  });

  test("is undone in order, the hardware made safe, when what the daemon before left cannot be killed", async () => {
    const first = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    await first.stop({ endInstances: false });
    await rm(join(world.home, "deployments", "made-safe"));
    const orphan = spawn("sleep", ["60"], { env: { PATH: process.env["PATH"], HARDSHARE_INSTANCE: instanceId }, stdio: "ignore" });
    await once(orphan, "spawn");
    const kill = vi.spyOn(process, "kill").mockImplementation(() => true);
    world.failpoints.actions.set("host.end.filters.before", () => kill.mockRestore());
    await startWithEngine();
    const ended = await world.server.report(instanceId, "ended");
    expect(ended).toMatchObject({
      reason: "host_restarted",
      failedStep: "filters",
      log: `process ${orphan.pid} cannot be killed`,
      clean: true,
    });
    expect(await beside("made-safe")).toContain(instanceId);
    expect(await beside("ended")).toContain(instanceId);
    expect(await engine.listContainers({})).toEqual([]);
  });

  test("is left once the programs that make the hardware safe have ended, which then run again without filters", async () => {
    const path = (name: string) => join(world.home, "deployments", name);
    execFileSync("mkfifo", [path("go1"), path("go2")]);
    const body = "if [ -e go1-used ]; then f=go2; else f=go1; : > go1-used; fi; echo begin >> order; cat $f; echo end >> order";
    await world.script("safe.sh", body);
    await writeFile(path("serve.mjs"), `${SERVE}\n(await import("node:fs")).writeFileSync("service-pid", String(process.pid));`);
    const daemon = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    process.kill(Number(await beside("service-pid")), "SIGKILL");
    await world.server.report(instanceId, "step", (step) => step.step === "safe_state");
    const user = connect(join(world.socketFolder, "i", instanceId, "ssh.sock"));
    const cut = once(user.resume(), "close");
    await once(user, "connect");
    const stopping = daemon.stop({ endInstances: false });
    await cut; // the last that is done before the hardware is made safe
    await world.untilHeard();
    await writeFile(path("go1"), "");
    await writeFile(path("go2"), "");
    await stopping;
    expect(await beside("order")).toBe("begin\nend\nbegin\nend\n");
  });

  test("has its hardware made safe although the engine does not answer yet", async () => {
    const first = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    await first.stop({ endInstances: false });
    const answering = new Deferred<NamespaceEngine>();
    const starting = world.start({ openEngine: () => answering.promise });
    await world.server.report(instanceId, "step", (body) => body.step === "safe_state" && body.phase === "done");
    answering.resolve(engine);
    await starting;
    expect(await world.server.report(instanceId, "notice", (body) => body.text.startsWith("adopted"))).toBeDefined();
  });

  test("is left as it is by a daemon that ends while it adopts it", async () => {
    const first = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    await first.stop({ endInstances: false });
    const reached = new Deferred();
    const go = new Deferred();
    world.failpoints.actions.set("host.launch.relay.before", () => (reached.resolve(), go.promise));
    const second = await startWithEngine();
    await reached.promise;
    const stopping = second.stop({ endInstances: false });
    go.resolve();
    await stopping;
    world.failpoints.actions.clear();
    expect(await engine.listContainers({})).toHaveLength(1);
    await startWithEngine();
    expect(await world.server.report(instanceId, "notice", (body) => body.text.startsWith("adopted"))).toBeDefined();
  });

  test("is undone when it died meanwhile, and a container that the journal does not know is removed", async () => {
    const first = await startWithEngine();
    const { instanceId } = world.launch(container);
    await world.server.report(instanceId, "up");
    await first.stop({ endInstances: false });
    for (const { id } of await engine.listContainers({})) await engine.removeContainer(id);
    const labels = {
      "io.hardshare.host": world.hostId,
      "io.hardshare.instance": systemRandom.uuid(),
      "io.hardshare.deployment": container,
      "io.hardshare.epoch": "7",
    };
    const limits = { memoryBytes: 1e8, cpus: 1, pids: 10 };
    await engine.createContainer({
      image: TEST_IMAGE,
      name: "stranger",
      hostname: "x",
      labels,
      env: {},
      limits,
      devices: [],
      network: "none",
    });
    await startWithEngine();
    expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "host_restarted", clean: true });
    expect(await beside("ended")).toContain(instanceId);
    expect(await engine.listContainers({})).toEqual([]);
    const told = world.server.heard.findLast((each) => each.type === "deployments"); // before that nothing is offered
    expect(told?.deployments.find((each) => each.deploymentId === container)).toMatchObject({ isAdvertised: true, highestEpoch: 7 });
  });
});
