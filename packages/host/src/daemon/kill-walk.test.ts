/** The daemon is killed at every failpoint of every plan, started again, and must come to rest with nothing left. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Contract, type DeploymentId } from "@hardshare/protocol";
import { readyForLinks } from "@hardshare/testkit/link-needs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { adoptionPlan, endPlan, failpointsOf, launchPlan } from "../instance/plan.ts";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { describeWithEngine, findRealEngines } from "../testing/real-engines.fixture.ts";
import { SERVE } from "../testing/restart-world.fixture.ts";

const run = promisify(execFile);
/** `dying-daemon.fixture.ts`, built by the set-up of tests. */
const VICTIM = fileURLToPath(new URL("../../../../.cache/test-programs/dying-daemon.js", import.meta.url));

const PROGRAMS = `services: [{ name: ROBOT, command: ${process.execPath} serve.mjs }]
init: [./begun.sh]
terminate: [./ended.sh]
baseline: [./is-clean.sh]
safe_state: [./safe.sh]
`;
/** With a link: it leaves this computer as connections of a user of its own, and changes nothing in this computer's network. */
const linkProblem = await readyForLinks();
const NETWORK = linkProblem === undefined ? "internet" : "isolated";
const INSIDE = `limits: { memory: 256m }\nnetwork: ${NETWORK}\ninit_inside: ["true"]\n`;

/** In CI's time one of so many cases is walked, another one each time; `npm run test:long` walks all. */
const SHARES = process.env["HARDSHARE_LONG"] === undefined ? { proxy: 1, podman: 7, docker: 21 } : { proxy: 1, podman: 1, docker: 1 };

/** Ends what hangs: each case is three daemons, a container and a link, on a machine that others may use. */
const CASE_TIMEOUT_MS = 60_000;

type When = "launch" | "end" | "adopt";

/** Every failpoint that an instance of this contract passes, and when. */
function casesOf(provider: keyof typeof SHARES): [when: When, failpoint: string][] {
  const contract = Contract.parse({
    provider,
    network: provider === "proxy" ? "isolated" : NETWORK,
    services: [{ name: "ROBOT", command: "x" }],
    init: ["x"],
    init_inside: provider === "proxy" ? [] : ["x"],
    terminate: ["x"],
    baseline: ["x"],
    safe_state: ["x"],
  });
  return [
    ...failpointsOf("launch", launchPlan(contract)).map((name): [When, string] => ["launch", name]),
    ...failpointsOf("end", endPlan(contract, false)).map((name): [When, string] => ["end", name]),
    ...(provider === "proxy" ? [] : failpointsOf("launch", adoptionPlan(contract)).map((name): [When, string] => ["adopt", name])),
  ];
}

const noEngine = { provider: "proxy", problem: undefined, environment: process.env, ensureImage: async () => {}, open: undefined } as const;

for (const engine of [noEngine, ...(await findRealEngines())]) {
  const { provider, environment } = engine;
  const share = SHARES[provider];
  const offset = Math.floor(Math.random() * share);
  const without = linkProblem === undefined || provider === "proxy" ? "" : ` (without a link: ${linkProblem})`;
  describeWithEngine(`a ${provider} instance${without}`, engine, () => {
    let world: HostWorld;
    let deployment: DeploymentId;
    beforeAll(async () => {
      await engine.ensureImage();
      const made = await HostWorld.make([`provider: ${provider}\n${provider === "proxy" ? "" : INSIDE}${PROGRAMS}`]);
      world = made.world;
      [deployment] = made.deployments as [DeploymentId];
      await writeFile(join(world.home, "deployments", "serve.mjs"), SERVE);
      for (const [script, file] of [
        ["begun.sh", "begun"],
        ["ended.sh", "ended"],
        ["is-clean.sh", "looked-at"],
        ["safe.sh", "safe"],
      ] as const) {
        await world.script(script, `echo "$HARDSHARE_INSTANCE" >> ${file}`);
      }
    }, 600_000);
    afterAll(() => world[Symbol.asyncDispose]());

    const linesOf = async (file: string) =>
      (await readFile(join(world.home, "deployments", file), "utf8").catch(() => "")).trim().split("\n");
    const startVictim = async (dieAt: string): Promise<ChildProcess> => {
      const child = spawn(process.execPath, [VICTIM, JSON.stringify({ home: world.home, state: world.state, dieAt })], {
        env: environment,
        stdio: ["ignore", "pipe", "inherit"],
      });
      return child;
    };
    const isReady = (child: ChildProcess) => once(child.stdout!, "data");
    const isDead = async (child: ChildProcess) => {
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      expect(child.signalCode).toBe("SIGKILL");
    };

    const cases = casesOf(provider).filter((_, index) => index % share === offset);
    const title = "whose daemon is killed in its %s at %s comes to an end, and nothing is left";
    test.each(cases)(title, { timeout: CASE_TIMEOUT_MS }, async (when, failpoint) => {
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

      await world.start({ openEngine: undefined, environment });
      if (when === "adopt") {
        await world.server.report(instanceId, "notice", (body) => body.text.startsWith("adopted"));
        world.end(deployment, instance);
      }
      const end = await world.server.report(instanceId, "ended");
      expect(end).toMatchObject({ clean: true, residue: [], reason: when === "launch" ? "host_restarted" : "user" });
      await world.daemon?.stop({ endInstances: true });

      expect(await linesOf("ended")).toContain(instanceId);
      expect((await linesOf("looked-at")).at(-1)).toBe(instanceId);
      const begun = (await linesOf("begun")).filter((line) => line === instanceId);
      expect(begun.length).toBeLessThanOrEqual(1); // an epoch runs at most once
      expect(await world.instanceFolders()).toEqual([]);
      expect((await run("sh", ["-c", `grep -lsz "HARDSHARE_INSTANCE=${instanceId}" /proc/[0-9]*/environ || true`])).stdout).toBe("");
      if (engine.open !== undefined) {
        await using opened = await engine.open();
        expect(await opened.listContainers({ "io.hardshare.instance": instanceId })).toEqual([]);
      }
      world.server.tell(deployment, null);
    });
  });
}
