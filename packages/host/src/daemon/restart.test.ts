import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { DeploymentId } from "@hardshare/protocol";
import { Deferred, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { HostWorld } from "../testing/host-world.fixture.ts";
import { makeRestartWorld, type RestartWorld, SERVICE } from "../testing/restart-world.fixture.ts";
import { NamespaceEngine } from "../testing/namespace-engine.fixture.ts";
import { daemonStatus, startAdvertising, stopAdvertising } from "./control-client.ts";

let made: RestartWorld;
let world: HostWorld;
let container: DeploymentId;
let proxy: DeploymentId;
let engine: NamespaceEngine;

beforeEach(async () => {
  made = await makeRestartWorld([SERVICE, `provider: proxy\n${SERVICE}`]);
  ({ world, engine } = made);
  [container, proxy] = made.deployments as [DeploymentId, DeploymentId];
});
afterEach(() => made[Symbol.asyncDispose]());

const beside = (name: string) => made.beside(name);
const startWithEngine = () => made.startWithEngine();

test("a proxy instance whose daemon was killed is made safe once nothing of that runs any more, ended, and what it left is gone", async () => {
  const instanceId = systemRandom.uuid();
  const started = {
    kind: "started",
    at: new Date().toISOString(),
    deploymentId: proxy,
    instanceId,
    epoch: 4,
    user: "bob",
    sequence: 3,
    deadline: { wallMs: Date.now() + 60_000, uptimeMs: 1e12, bootId: "x" },
    contract: await readFile(world.contractFile(proxy), "utf8"),
    folder: join(world.home, "deployments"),
  };
  await mkdir(world.state, { recursive: true });
  await writeFile(join(world.state, "journal"), `${JSON.stringify(started)}\n{"kind":"up","inst`);
  const orphans = ["terminate", "safe_state"].map((event) => {
    const env = { PATH: process.env["PATH"], HARDSHARE_INSTANCE: instanceId, HARDSHARE_EVENT: event };
    return spawn("sleep", ["60"], { env, detached: true, stdio: "ignore" });
  });
  const orphansEnded = Promise.all(orphans.map((orphan) => once(orphan, "exit")));
  const look = orphans.map(({ pid }) => `! grep -qsz ${instanceId} /proc/${pid}/environ`).join(" && ");
  await world.script("safe.sh", `${look} && echo "$HARDSHARE_INSTANCE" >> made-safe`);
  await world.start();
  await orphansEnded;
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "host_restarted", clean: true });
  expect(await beside("made-safe")).toContain(instanceId);
  expect(await beside("ended")).toContain(instanceId);
  expect(world.server.reports(instanceId).at(0)?.sequence).toBeGreaterThan(3);
});

test("an end that the server has not recorded is reported again by the next daemon", async () => {
  const first = await world.start();
  const instance = world.launch(proxy);
  await world.server.report(instance.instanceId, "up");
  world.server.isAcknowledging = false;
  world.end(proxy, instance);
  await world.server.report(instance.instanceId, "ended");
  await first.stop({ endInstances: true });
  const before = world.server.heard.length;
  world.server.isAcknowledging = true;
  world.server.desired.set(proxy, null);
  await world.start();
  const again = await world.server.until(() =>
    world.server.heard.slice(before).find((each) => each.type === "report" && each.body.kind === "ended"),
  );
  expect(again).toMatchObject({ instanceId: instance.instanceId, body: { reason: "user", clean: true } });
});

test("a second daemon on the same state folder, or for the same host, is refused with the process that holds it", async () => {
  const daemon = await world.start();
  await expect(world.start()).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining(`process ${process.pid}`) });
  const elsewhere = world.start({ state: join(world.folder, "other-state") });
  await expect(elsewhere).rejects.toMatchObject({ code: "conflict", message: expect.stringContaining(`process ${process.pid}`) });
  world.daemon = daemon;
});

test("a graceful end ends instances, and their ends are recorded before the daemon is gone", async () => {
  const daemon = await world.start();
  const { instanceId } = world.launch(proxy);
  await world.server.report(instanceId, "up");
  await daemon.stop({ endInstances: true });
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "host_stopped", clean: true });
  expect(await readFile(join(world.state, "journal"), "utf8")).toMatch(/"kind":"acknowledged"/);
});

test("without an engine proxies are offered, and containers are shown with the reason", async () => {
  await world.start({ openEngine: () => Promise.reject(new Error("podman is not installed")) });
  const status = await daemonStatus({ state: world.state });
  expect(status?.deployments.find(({ id }) => id === proxy)).toMatchObject({ isAdvertised: true, problem: null });
  expect(status?.deployments.find(({ id }) => id === container)?.problem).toBeTruthy();
  const { instanceId } = world.launch(proxy);
  await world.server.report(instanceId, "up");
  const refused = world.launch(container);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({
    reason: "init_failed",
    log: expect.stringMatching(/podman|root/),
  });
});

/** A deployment with its contract, and a configuration that has it. */
async function addDeployment(): Promise<{ added: DeploymentId; config: string }> {
  const added = DeploymentId.parse(systemRandom.uuid());
  await writeFile(world.contractFile(added), `provider: proxy\n${SERVICE}`);
  return { added, config: `${await readFile(join(world.home, "config.yaml"), "utf8")}  - id: ${added}\n` };
}

/** What the server was told last. */
const offered = () => {
  const told = world.server.heard.findLast((each) => each.type === "deployments");
  return told?.deployments.filter((each) => each.isAdvertised).map((each) => each.deploymentId);
};

test("a daemon is ready once the server has recorded what it offers", async () => {
  await startWithEngine();
  expect(offered()).toEqual([container, proxy]);
});

test("deployments are added to and taken from a running daemon, which ends when the last was stopped", async () => {
  expect(await daemonStatus({ state: world.state })).toBeUndefined();
  await expect(stopAdvertising({ state: world.state })).rejects.toMatchObject({ code: "wrong_state" });
  const daemon = await world.start({ deployments: [] });
  expect((await daemonStatus({ state: world.state }))?.deployments.every((each) => !each.isAdvertised)).toBe(true);
  await startAdvertising({ state: world.state, deployments: [proxy.slice(0, 8)] });
  expect(offered()).toEqual([proxy]); // the server knows it: a launch that is asked for now is not refused
  await expect(startAdvertising({ state: world.state, deployments: ["0000"] })).rejects.toMatchObject({ code: "not_found" });
  const instance = world.launch(proxy);
  await world.server.report(instance.instanceId, "up");
  const stopping = stopAdvertising({ state: world.state, id: proxy });
  await world.server.until(() => offered()?.length === 0 || undefined);
  expect((await daemonStatus({ state: world.state }))?.deployments.find(({ id }) => id === proxy)?.instance).toMatchObject({
    id: instance.instanceId,
    phase: "up",
  });
  world.end(proxy, instance);
  expect(await stopping).toEqual({ stopped: [proxy] });
  await daemon.ended;
});

test("a launch that is wanted before it is known whether the deployment can be offered waits for that", async () => {
  const { instanceId } = world.launch(container);
  const answering = new Deferred<NamespaceEngine>();
  const starting = world.start({ openEngine: () => answering.promise });
  await world.server.until(() => world.server.hellos[0]);
  await world.untilHeard();
  expect(world.server.reports(instanceId)).toEqual([]);
  answering.resolve(engine);
  await starting;
  await world.server.report(instanceId, "accepted");
});

test("the contract of a deployment that was added to a running daemon is watched", async () => {
  const { config, added } = await addDeployment();
  const daemon = await world.start();
  await writeFile(join(world.home, "config.yaml"), config);
  await startAdvertising({ state: world.state, deployments: [added] });
  await writeFile(world.contractFile(added), `provider: proxy\n${SERVICE}max_duration: 7m\n`);
  await world.server.until(() =>
    world.server.heard.find((each) => each.type === "deployments" && each.deployments.some((it) => it.maxDurationS === 420)),
  );
  await daemon.stop({ endInstances: true });
});

test("somebody who connects to the control socket and says nothing keeps no daemon from ending", async () => {
  const daemon = await world.start();
  const silent = connect(world.controlSocket);
  const cut = once(silent.resume(), "close");
  await once(silent, "connect");
  await daemon.stop({ endInstances: true });
  await cut;
});

test("a part that fails to end keeps no other from ending", async () => {
  const daemon = await startWithEngine();
  engine[Symbol.asyncDispose] = () => Promise.reject(new Error("the engine hangs"));
  await expect(daemon.stop({ endInstances: true })).rejects.toThrow("the engine hangs");
  await daemon.ended;
  engine[Symbol.asyncDispose] = async () => {};
  await startWithEngine(); // the folder is not locked any more
});

test("a daemon that cannot start ends what it had begun", async () => {
  const first = await world.start({ deployments: [proxy] });
  const { instanceId } = world.launch(proxy);
  await world.server.report(instanceId, "up");
  await first.stop({ endInstances: true });
  const journal = await readFile(join(world.state, "journal"), "utf8");
  const live = journal.split("\n").filter((line) => line.includes('"started"'));
  await writeFile(join(world.state, "journal"), `${live.join("\n")}\n`);
  await mkdir(join(world.controlSocket, "in-the-way"), { recursive: true });
  await expect(world.start()).rejects.toThrow();
  expect(await readFile(join(world.state, "journal"), "utf8")).toContain('"kind":"ended"');
  await rm(world.controlSocket, { recursive: true });
});

test("stop with `now` ends an instance at once, also while it is launched", async () => {
  await writeFile(world.contractFile(proxy), `provider: proxy\n${SERVICE}init: [sleep 60]\n`);
  await world.start();
  const { instanceId } = world.launch(proxy);
  await world.server.report(instanceId, "step", (body) => body.step === "init");
  await stopAdvertising({ state: world.state, id: proxy, now: true });
  expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "host_stopped", clean: true });
  const refused = world.launch(proxy);
  expect(await world.server.report(refused.instanceId, "ended")).toMatchObject({ reason: "host_stopped" });
});

test("a changed contract takes effect for the next instance without being told", async () => {
  await world.start();
  await writeFile(world.contractFile(proxy), `provider: proxy\n${SERVICE}max_duration: 7m\n`);
  await world.server.until(() =>
    world.server.heard.find((each) => each.type === "deployments" && each.deployments.some((it) => it.maxDurationS === 420)),
  );
});

test("the control socket answers nonsense with a clear error, and is this user's alone", async () => {
  await world.start();
  const outgoing = request({ socketPath: world.controlSocket, path: "/nonsense" }).end();
  const [response] = await once(outgoing, "response");
  expect((response as { statusCode: number }).statusCode).toBe(404);
  const { stat } = await import("node:fs/promises");
  expect((await stat(world.socketFolder)).mode & 0o077).toBe(0);
});
