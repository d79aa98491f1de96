import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError, Contract, type DeploymentId } from "@hardshare/protocol";
import { Deferred } from "@hardshare/runtime";
import { readHostKey } from "@hardshare/wire/ssh";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { endPlan, failpointsOf, launchPlan } from "../instance/plan.ts";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { SERVE } from "../testing/restart-world.fixture.ts";
import { NamespaceEngine, whyNoNamespaces } from "../testing/namespace-engine.fixture.ts";

const CONTRACT = `services: [{ name: ROBOT, command: ${process.execPath} serve.mjs }]
init: [./init.sh]
init_inside: [echo inside]
terminate: [./terminate.sh]
baseline: ["true"]
`;
const PLANNED = Contract.parse({
  services: [{ name: "ROBOT", command: "x" }],
  init: ["x"],
  init_inside: ["x"],
  terminate: ["x"],
  baseline: ["x"],
});

const problem = whyNoNamespaces();
describe.skipIf(problem !== undefined)(
  problem === undefined ? "a container instance" : `a container instance (left out: ${problem})`,
  () => {
    let world: HostWorld;
    let robot: DeploymentId;
    let engine: NamespaceEngine;

    beforeAll(async () => {
      const made = await HostWorld.make([CONTRACT]);
      world = made.world;
      robot = made.deployments[0]!;
      engine = new NamespaceEngine(world.folder);
      await writeFile(join(world.home, "deployments", "serve.mjs"), SERVE);
      await world.script("init.sh", "echo arming");
      await world.script("terminate.sh", 'echo "$HARDSHARE_INSTANCE" >> ended');
      await world.start({ openEngine: async () => engine });
    });
    afterAll(async () => {
      await world[Symbol.asyncDispose]();
      engine.killAll();
    });

    async function expectNothingLeft(): Promise<void> {
      expect(await engine.listContainers({})).toEqual([]);
      expect(await world.instanceFolders()).toEqual([]);
    }
    /** Process id of an instance's relay. */
    const relayOf = (instanceId: string) =>
      Number(
        execFileSync("pgrep", ["-f", `relay\\.js.*${instanceId}`], { encoding: "utf8" })
          .trim()
          .split("\n")[0],
      );
    const stepsOf = (instanceId: string) =>
      world.server.reports(instanceId).flatMap(({ body }) => (body.kind === "step" ? [`${body.step} ${body.phase}`] : []));

    test("is launched, its host key published, reached through the tunnel, and ended with nothing left", async () => {
      const instance = world.launch(robot, { keys: ["ssh-ed25519 AAAA bob"] });
      const { instanceId } = instance;
      const up = await world.server.report(instanceId, "up");
      expect(up.hostKeys).toEqual([engine.hostKey.trim()]);
      const [container] = await engine.listContainers({ "io.hardshare.instance": instanceId });
      expect(container?.labels).toMatchObject({
        "io.hardshare.epoch": "1",
        "io.hardshare.deployment": robot,
        "io.hardshare.host": world.hostId,
      });
      const stream = await world.server.open(instanceId);
      expect(await readHostKey(stream, AbortSignal.timeout(5000))).toBe(engine.hostKey.trim());
      let written = "";
      await engine.exec(container?.id ?? "", ["cat", "/root/.ssh/authorized_keys"], { onOutput: (chunk) => (written += String(chunk)) });
      await engine.exec(container?.id ?? "", ["cat", "/root/.ssh/environment"], { onOutput: (chunk) => (written += String(chunk)) });
      expect(written).toContain("ssh-ed25519 AAAA bob\n");
      expect(written).toContain("ROBOT=127.0.0.1:22100\n");
      world.end(robot, instance);
      expect(await world.server.report(instanceId, "ended")).toEqual({ kind: "ended", reason: "user", clean: true, residue: [] });
      await expectNothingLeft();
      expect(stepsOf(instanceId)).toEqual(
        expect.arrayContaining(["relay done", "banner done", "container undone", "relay undone", "network undone", "verify done"]),
      );
    });

    test("a service outside is reached from inside through the relay, which has no rights left", async () => {
      const instance = world.launch(robot);
      await world.server.report(instance.instanceId, "up");
      const [container] = await engine.listContainers({ "io.hardshare.instance": instance.instanceId });
      const { pid } = await engine.inspectContainer(container?.id ?? "");
      const inside = spawn(
        "nsenter",
        [
          "-t",
          String(pid),
          "-n",
          process.execPath,
          "-e",
          `
      const socket = require("net").connect(22100, "127.0.0.1", () => socket.end("ping"));
      socket.pipe(process.stdout);`,
        ],
        { stdio: ["ignore", "pipe", "inherit"] },
      );
      let answer = "";
      for await (const chunk of inside.stdout) answer += String(chunk);
      expect(answer).toBe("ping");
      const status = await readFile(`/proc/${relayOf(instance.instanceId)}/status`, "utf8");
      expect(status).toMatch(/^Uid:\t65530\t65530\t65530\t65530$/m);
      expect(status).toMatch(/^Gid:\t65530\t65530\t65530\t65530$/m);
      expect(status).toMatch(/^Groups:\t\s*$/m);
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect(status).toMatch(/^CapPrm:\t0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      const environment = (await readFile(`/proc/${relayOf(instance.instanceId)}/environ`, "utf8")).split("\0");
      expect(environment).toContain(`HARDSHARE_INSTANCE=${instance.instanceId}`); // by which the end finds it
      const closed = once(
        connect(join(world.socketFolder, "i", instance.instanceId, "ssh.sock"))
          .on("error", () => {})
          .resume(),
        "close",
      );
      world.end(robot, instance);
      await closed;
      await world.server.report(instance.instanceId, "ended");
      await expectNothingLeft();
    });

    test.each(failpointsOf("launch", launchPlan(PLANNED)))("a failure at %s is undone, and nothing is left", async (name) => {
      world.failpoints.actions.set(name, () => Promise.reject(new AppError("internal", `failed at ${name}`)));
      const instance = world.launch(robot);
      const ended = await world.server.report(instance.instanceId, "ended");
      world.failpoints.actions.clear();
      expect(ended).toMatchObject({
        reason: "init_failed",
        failedStep: name.split(".")[2],
        log: `failed at ${name}`,
        clean: true,
        residue: [],
      });
      await expectNothingLeft();
      expect(await readFile(join(world.home, "deployments", "ended"), "utf8")).toContain(instance.instanceId);
    });

    test.each(launchPlan(PLANNED).map((step) => step.name))(
      "a launch cancelled in step %s is undone, and nothing is left",
      async (step) => {
        let instance = undefined as ReturnType<HostWorld["launch"]> | undefined;
        world.failpoints.actions.set(`host.launch.${step}.before`, async () => {
          if (instance === undefined) return;
          world.end(robot, instance);
          await world.untilHeard();
        });
        instance = world.launch(robot);
        const ended = await world.server.report(instance.instanceId, "ended");
        world.failpoints.actions.clear();
        expect(ended).toEqual({ kind: "ended", reason: "user", clean: true, residue: [] });
        await expectNothingLeft();
      },
    );

    test.each(failpointsOf("end", endPlan(PLANNED, false)))(
      "a failed undo at %s locks the deployment out and says what may be left",
      async (name) => {
        const lockouts = () => world.server.heard.filter((each) => each.type === "lockout").length;
        const before = lockouts();
        const instance = world.launch(robot);
        await world.server.report(instance.instanceId, "up");
        world.failpoints.actions.set(name, () => Promise.reject(new AppError("internal", "stuck")));
        world.end(robot, instance);
        const ended = await world.server.report(instance.instanceId, "ended");
        world.failpoints.actions.clear();
        expect(ended).toMatchObject({ clean: false, residue: expect.arrayContaining([`${name.split(".")[2]}: stuck`]) });
        expect(lockouts()).toBeGreaterThan(before);
        for (const { id } of await engine.listContainers({})) await engine.removeContainer(id);
        await rm(join(world.socketFolder, "i"), { recursive: true, force: true });
      },
    );

    test("what an instance left behind is removed before the next one of its deployment has a container", async () => {
      const { limits, image } = PLANNED;
      await engine.createContainer({
        image,
        name: "left",
        hostname: "left",
        labels: { "io.hardshare.deployment": robot, "io.hardshare.host": world.hostId, "io.hardshare.instance": crypto.randomUUID() },
        env: {},
        command: undefined,
        limits: { memoryBytes: limits.memory, cpus: limits.cpus, pids: limits.pids },
        devices: [],
        network: "none",
      });
      const instance = world.launch(robot);
      await world.server.report(instance.instanceId, "up");
      expect((await engine.listContainers({})).map((container) => container.name)).toEqual([`hardshare-${instance.instanceId}`]);
      world.end(robot, instance);
      await world.server.report(instance.instanceId, "ended");
      await expectNothingLeft();
    });

    test("a relay that dies is started again, and the instance is reached as before", async () => {
      const instance = world.launch(robot);
      const { instanceId } = instance;
      await world.server.report(instanceId, "up");
      process.kill(relayOf(instanceId), "SIGKILL");
      await world.server.report(instanceId, "notice", (body) => body.text === "the relay runs again");
      expect(await readHostKey(await world.server.open(instanceId), AbortSignal.timeout(5000))).toBe(engine.hostKey.trim());
      world.end(robot, instance);
      expect(await world.server.report(instanceId, "ended")).toMatchObject({ clean: true });
      await expectNothingLeft();
    });

    test("a container that dies ends the instance", async () => {
      const { instanceId } = world.launch(robot);
      await world.server.report(instanceId, "up");
      const [container] = await engine.listContainers({ "io.hardshare.instance": instanceId });
      engine.crash(container?.id ?? "");
      expect(await world.server.report(instanceId, "ended")).toMatchObject({ reason: "container_died", clean: true });
      await expectNothingLeft();
    });

    test("a container that dies after its last step ends the instance before it is up", async () => {
      const watching = new AbortController();
      const died = new Deferred();
      await engine.watchExits({}, () => died.resolve(), watching.signal);
      world.failpoints.actions.set("host.launch.tunnel.after", async () => {
        const [container] = await engine.listContainers({});
        engine.crash(container?.id ?? "");
        await died.promise;
      });
      const { instanceId } = world.launch(robot);
      const ended = await world.server.report(instanceId, "ended");
      world.failpoints.actions.clear();
      watching.abort();
      expect(ended).toMatchObject({ reason: "container_died", clean: true });
      expect(world.server.reports(instanceId).some(({ body }) => body.kind === "up")).toBe(false);
      await expectNothingLeft();
    });

    test("a container that dies before its SSH server answers fails the launch with what it was", async () => {
      engine.hasSshServer = false;
      const { instanceId } = world.launch(robot);
      await world.server.report(instanceId, "step", (body) => body.step === "banner" && body.phase === "started");
      const [container] = await engine.listContainers({ "io.hardshare.instance": instanceId });
      engine.crash(container?.id ?? "");
      const ended = await world.server.report(instanceId, "ended");
      engine.hasSshServer = true;
      expect(ended).toMatchObject({ reason: "init_failed", failedStep: "banner", clean: true });
      expect(ended.log).toContain("the container ended: exit code 137");
      await expectNothingLeft();
    });

    test("a broken contract, a missing image and a missing device fail in their step", async () => {
      const failsIn = async (contract: string) => {
        await writeFile(world.contractFile(robot), contract);
        const { reloadFiles } = await import("./control-client.ts");
        const refusal = await reloadFiles({ state: world.state }).then(
          () => "",
          (error: Error) => error.message,
        );
        expect(refusal).toMatch(contract.startsWith("provider") ? /yaml:1:11: provider/ : /^$/);
        const { instanceId } = world.launch(robot);
        const ended = await world.server.report(instanceId, "ended");
        return `${ended.failedStep}: ${ended.log}`;
      };
      expect(await failsIn("devices: [/dev/nothing]")).toMatch(/^container: the device \/dev\/nothing is not there/);
      expect(await failsIn("image: localhost/none")).toMatch(/^host: the image localhost\/none is not on this computer/);
      expect(await failsIn("provider: nothing")).toMatch(/^host: .*yaml:1:11: provider/);
      await expectNothingLeft();
    });
  },
);
