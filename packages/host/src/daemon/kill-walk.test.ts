/** The daemon is killed at every failpoint of every plan, started again, and must come to rest with nothing left. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Contract, type DeploymentId } from "@hardshare/protocol";
import { silentLogger } from "@hardshare/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { preparePodman } from "../engine/podman-setup.ts";
import { ensureImage } from "../image/ensure-image.ts";
import { adoptionPlan, endPlan, failpointsOf, launchPlan } from "../instance/plan.ts";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { SERVE } from "../testing/restart-world.fixture.ts";

const run = promisify(execFile);
const VICTIM = ["--import", import.meta.resolve("tsx"), "--conditions=@hardshare/source"];
const VICTIM_FILE = fileURLToPath(new URL("../testing/dying-daemon.fixture.ts", import.meta.url));

const PROGRAMS = `services: [{ name: ROBOT, command: ${process.execPath} serve.mjs }]
init: [./begun.sh]
terminate: [./ended.sh]
safe_state: [./safe.sh]
`;
const CONTRACTS = { podman: `limits: { memory: 256m }\ninit_inside: ["true"]\n${PROGRAMS}`, proxy: `provider: proxy\n${PROGRAMS}` };

/** In CI's time one of so many cases on podman is walked, another one each time; \`npm run test:long\` walks all. */
const SHARE = process.env["HARDSHARE_LONG"] === undefined ? 7 : 1;
const OFFSET = Math.floor(Math.random() * SHARE);

type When = "launch" | "end" | "adopt";

/** Every failpoint that an instance of this contract passes, and when. */
function casesOf(provider: "podman" | "proxy"): [when: When, failpoint: string][] {
  const contract = Contract.parse({
    provider,
    services: [{ name: "ROBOT", command: "x" }],
    init: ["x"],
    init_inside: provider === "podman" ? ["x"] : [],
    terminate: ["x"],
    safe_state: ["x"],
  });
  return [
    ...failpointsOf("launch", launchPlan(contract)).map((name): [When, string] => ["launch", name]),
    ...failpointsOf("end", endPlan(contract, false)).map((name): [When, string] => ["end", name]),
    ...(provider === "podman" ? failpointsOf("launch", adoptionPlan(contract)).map((name): [When, string] => ["adopt", name]) : []),
  ];
}

const podmanFolder = await mkdtemp(join(tmpdir(), "hs-kill-walk-"));
const podman = { folder: podmanFolder, environment: process.env, logger: silentLogger };
const isRoot = process.geteuid?.() === 0;
const problem = isRoot
  ? await preparePodman(podman).then(
      () => undefined,
      (error: Error) => error.message,
    )
  : "needs root";
const isLeftOut = problem !== undefined && process.env["CI"] === undefined;
afterAll(() => rm(podmanFolder, { recursive: true, force: true }));

for (const provider of ["proxy", "podman"] as const) {
  const name = `a ${provider} instance`;
  const isOut = provider === "podman" && isLeftOut;
  describe.skipIf(isOut)(isOut ? `${name} (left out: ${problem})` : name, () => {
    let world: HostWorld;
    let deployment: DeploymentId;
    beforeAll(async () => {
      if (provider === "podman") await ensureImage(podman);
      const made = await HostWorld.make([CONTRACTS[provider]]);
      world = made.world;
      [deployment] = made.deployments as [DeploymentId];
      await writeFile(join(world.home, "deployments", "serve.mjs"), SERVE);
      for (const [script, file] of [
        ["begun.sh", "begun"],
        ["ended.sh", "ended"],
        ["safe.sh", "safe"],
      ] as const) {
        await world.script(script, `echo "$HARDSHARE_INSTANCE" >> ${file}`);
      }
    }, 600_000);
    afterAll(() => world[Symbol.asyncDispose]());

    const linesOf = async (file: string) =>
      (await readFile(join(world.home, "deployments", file), "utf8").catch(() => "")).trim().split("\n");
    const startVictim = async (dieAt: string): Promise<ChildProcess> => {
      const child = spawn(process.execPath, [...VICTIM, VICTIM_FILE, JSON.stringify({ home: world.home, state: world.state, dieAt })], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      return child;
    };
    const isReady = (child: ChildProcess) => once(child.stdout!, "data");
    const isDead = async (child: ChildProcess) => {
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      expect(child.signalCode).toBe("SIGKILL");
    };

    const cases = casesOf(provider).filter((_, index) => provider === "proxy" || index % SHARE === OFFSET);
    test.each(cases)("whose daemon is killed in its %s at %s comes to an end, and nothing is left", async (when, failpoint) => {
      const victim = await startVictim(when === "adopt" ? "" : failpoint);
      await isReady(victim);
      const instance = world.launch(deployment);
      const { instanceId } = instance;
      if (when !== "launch") await world.server.report(instanceId, "up");
      if (when === "end") world.end(deployment, instance);
      if (when === "adopt") {
        victim.kill("SIGKILL");
        await isDead(victim);
        await isDead(await startVictim(failpoint));
      }
      await isDead(victim);

      await world.start({ openEngine: undefined, environment: process.env });
      if (when === "adopt") {
        await world.server.report(instanceId, "notice", (body) => body.text.startsWith("adopted"));
        world.end(deployment, instance);
      }
      const end = await world.server.report(instanceId, "ended");
      expect(end).toMatchObject({ clean: true, residue: [], reason: when === "launch" ? "host_restarted" : "user" });
      await world.daemon?.stop({ endInstances: true });

      expect(await linesOf("ended")).toContain(instanceId);
      const begun = (await linesOf("begun")).filter((line) => line === instanceId);
      expect(begun.length).toBeLessThanOrEqual(1); // an epoch runs at most once
      expect(await world.instanceFolders()).toEqual([]);
      expect((await run("sh", ["-c", `grep -lsz "HARDSHARE_INSTANCE=${instanceId}" /proc/[0-9]*/environ || true`])).stdout).toBe("");
      if (provider === "podman") {
        const left = await run("podman", ["ps", "--all", "--quiet", "--filter", `label=io.hardshare.instance=${instanceId}`]);
        expect(left.stdout).toBe("");
      }
      world.server.tell(deployment, null);
    });
  });
}
