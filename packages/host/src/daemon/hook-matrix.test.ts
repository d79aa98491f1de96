/**
 * Every list of lifecycle programs × everything that a program may do × every `on_fail`: each comes to a final state,
 * leaves nothing, tells it on the timeline, and locks the deployment out exactly when it should.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { DeploymentId, OnFail, ReportBody } from "@hardshare/protocol";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine } from "../engine/engine.ts";
import { HostWorld } from "../testing/host-world.fixture.ts";
import { NamespaceEngine, whyNoNamespaces } from "../testing/namespace-engine.fixture.ts";
import { describeWithEngine, findRealEngines } from "../testing/real-engines.fixture.ts";

const run = promisify(execFile);

const HOOKS = ["init", "init_inside", "terminate", "baseline", "safe_state"] as const;
type Hook = (typeof HOOKS)[number];
const ON_FAIL = ["warn", "end", "lock"] as const satisfies OnFail[];

/** What a program may do: its script, and how its failure is told, on the host and in a container. */
const BEHAVIOURS = {
  succeeds: { script: "echo well" },
  fails: { script: "echo broken >&2; exit 3", fails: "ended with exit code 3" },
  hangs: { script: "trap '' TERM; echo waiting; exec sleep 600", fails: "took longer than 1s and was killed" },
  "is killed": { script: "kill -KILL $$", fails: "was killed by SIGKILL", failsInside: "ended with exit code 137" },
  "floods its output": { script: "yes flood | head -c 3000000" },
  "leaves children": { script: "sleep 601 & setsid sleep 602 & setsid sh -c 'sleep 603 & sleep 604' > /dev/null 2>&1 < /dev/null &" },
} satisfies Record<string, { script: string; fails?: string; failsInside?: string }>;
type Behaviour = keyof typeof BEHAVIOURS;

interface Case {
  hook: Hook;
  behaviour: Behaviour;
  onFail: OnFail;
}
const CASES: Case[] = HOOKS.flatMap((hook) =>
  (Object.keys(BEHAVIOURS) as Behaviour[]).flatMap((behaviour) => ON_FAIL.map((onFail) => ({ hook, behaviour, onFail }))),
);

/** How a case has to come out. */
function outcomeOf({ hook, behaviour, onFail }: Case) {
  const { fails, failsInside }: { script: string; fails?: string; failsInside?: string } = BEHAVIOURS[behaviour];
  const how = hook === "init_inside" ? (failsInside ?? fails) : fails;
  const isBefore = hook === "init" || hook === "init_inside";
  const failure = how === undefined ? undefined : `${nameOf({ hook, behaviour, onFail })} ${how}`;
  const isWaived = failure !== undefined && onFail === "warn";
  const counts = failure !== undefined && !isWaived;
  return {
    failure,
    isWaived,
    isUp: !(counts && isBefore),
    reason: counts && isBefore ? "init_failed" : counts && hook === "safe_state" ? "filter_lost" : "user",
    residue: counts && (hook === "terminate" || hook === "baseline") ? [`${hook}: ${failure}`] : [],
    locks: counts && (onFail === "lock" || !isBefore),
    /** What the programs behind that of the case, and those for the end, note: which ran, in which order. */
    notes: [...(hook === "init" && !counts ? ["init"] : []), ...(hook === "safe_state" ? ["safe_state"] : []), "terminate", "baseline"],
  };
}

function nameOf({ hook, behaviour }: Case): string {
  return `./${hook}-${behaviour.replaceAll(" ", "-")}.sh`;
}

function contractOf(provider: string, each: Case): string {
  const timeout = each.behaviour === "hangs" ? "1s" : "2m";
  const entry = `{ run: ${nameOf(each)}, timeout: ${timeout}, on_fail: ${each.onFail} }`;
  const lists = HOOKS.flatMap((hook) => {
    const entries = [...(hook === each.hook ? [entry] : []), ...(hook === "init_inside" ? [] : ["./note.sh"])];
    return hook === each.hook || hook === "terminate" || hook === "baseline" ? [`${hook}: [${entries.join(", ")}]`] : [];
  });
  const limits = provider === "proxy" ? [] : ["limits: { memory: 256m }"];
  return [`provider: ${provider}`, "services: [{ name: ROBOT, command: ./serve.sh }]", ...limits, ...lists, ""].join("\n");
}

/** Runs cases at one host, each at a deployment of its own. */
class Matrix implements AsyncDisposable {
  readonly world: HostWorld;
  readonly #deployments: ReadonlyMap<Case | undefined, DeploymentId>;

  private constructor(world: HostWorld, deployments: ReadonlyMap<Case | undefined, DeploymentId>) {
    this.world = world;
    this.#deployments = deployments;
  }

  static async make(provider: string, cases: readonly Case[]): Promise<Matrix> {
    const { world, deployments } = await HostWorld.make(cases.map((each) => contractOf(provider, each)));
    await world.script("serve.sh", 'echo $$ > "service-$HARDSHARE_INSTANCE"; echo 127.0.0.1:9; exec sleep 600');
    await world.script("note.sh", 'echo "$HARDSHARE_EVENT" >> "notes-$HARDSHARE_INSTANCE"');
    for (const each of cases) await world.script(nameOf(each), BEHAVIOURS[each.behaviour].script);
    return new Matrix(world, new Map(deployments.map((deployment, index) => [cases.at(index), deployment])));
  }

  /** @param engine where containers are looked for */
  async walk(each: Case, engine?: Pick<Engine, "listContainers">): Promise<void> {
    const { world } = this;
    const { server } = world;
    const deployment = this.#deployments.get(each)!;
    const expected = outcomeOf(each);
    const instance = world.launch(deployment);
    const { instanceId } = instance;
    const bodies = () => server.reports(instanceId).map(({ body }) => body);
    const settled = await server.until(() => bodies().find(({ kind }) => kind === "up" || kind === "ended"));
    expect(settled).toMatchObject({ kind: expected.isUp ? "up" : "ended" });
    if (each.hook === "safe_state") {
      process.kill(Number(await this.#beside(`service-${instanceId}`)), "SIGKILL");
      await server.report(instanceId, "step", (body) => body.step === "safe_state" && body.phase !== "started");
      if (expected.reason === "user") await server.report(instanceId, "notice", (body) => body.text === "service ROBOT runs again");
    }
    if (expected.reason === "user") world.end(deployment, instance);

    const ended = await server.report(instanceId, "ended");
    const { reason, residue, failure } = expected;
    expect(ended).toMatchObject({ reason, residue, clean: residue.length === 0 });
    if (reason === "init_failed") expect(ended).toMatchObject({ failedStep: each.hook, log: expect.stringContaining(failure!) });
    else expect(ended.failedStep).toBeUndefined();
    const lockouts = server.heard.filter((message) => message.type === "lockout" && message.deploymentId === deployment);
    expect(lockouts).toEqual(
      expected.locks ? [expect.objectContaining({ reason: expect.stringContaining(`${each.hook}: ${failure}`) })] : [],
    );

    this.#expectTimeline(each, bodies());
    expect((await this.#beside(`notes-${instanceId}`)).trim().split("\n")).toEqual(expected.notes);
    await this.#expectNothingLeft(instanceId, engine);
  }

  #expectTimeline(each: Case, bodies: readonly ReportBody[]): void {
    const { failure, isWaived, locks } = outcomeOf(each);
    const phases = bodies.flatMap((body) => (body.kind === "step" && body.step === each.hook ? [body] : []));
    expect(phases.map(({ phase }) => phase)).toEqual(["started", failure === undefined || isWaived ? "done" : "failed"]);
    if (failure !== undefined && !isWaived) expect(phases.at(-1)?.log).toContain(failure);
    const warnings = bodies.flatMap((body) => (body.kind === "notice" && body.level === "warning" ? [body.text] : []));
    const goesOn = each.hook === "init" || each.hook === "init_inside" ? "the launch goes on" : "the deployment is not locked out";
    expect(warnings).toEqual(isWaived ? [expect.stringContaining(`${each.hook}: ${failure}; ${goesOn}`)] : []);
    if (locks) expect(isWaived).toBe(false);
    const output = bodies.flatMap((body) => (body.kind === "log" && body.step === each.hook ? [body.text] : [])).join("");
    if (each.behaviour === "succeeds") expect(output).toBe("well\n");
    if (each.behaviour === "fails") expect(output).toBe("broken\n");
    if (each.behaviour === "floods its output") {
      expect(output.length).toBeLessThan(270_000);
      expect(output).toMatch(/… \d+ more characters of output were dropped\n$/);
    }
  }

  async #expectNothingLeft(instanceId: string, engine: Pick<Engine, "listContainers"> | undefined): Promise<void> {
    const { world } = this;
    const look = `grep -lsz "HARDSHARE_INSTANCE=${instanceId}" /proc/[0-9]*/environ || true`; // also in containers
    expect((await run("sh", ["-c", look])).stdout).toBe("");
    expect(await world.instanceFolders()).not.toContain(instanceId);
    expect((await engine?.listContainers({ "io.hardshare.instance": instanceId })) ?? []).toEqual([]);
    await world.server.until(() => world.server.forwards(instanceId).length === 0 || undefined);
  }

  #beside(name: string): Promise<string> {
    return readFile(join(this.world.home, "deployments", name), "utf8");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.world[Symbol.asyncDispose]();
  }
}

const title = "$hook that $behaviour, on_fail: $onFail";
/** Cases that wait more than they compute, so some run at the same time. */
const TIMES = { timeout: 60_000, concurrent: true } as const;

describe("at a filter", () => {
  const cases = CASES.filter(({ hook }) => hook !== "init_inside");
  let matrix: Matrix;
  beforeAll(async () => {
    matrix = await Matrix.make("proxy", cases);
    await matrix.world.start();
  });
  afterAll(() => matrix[Symbol.asyncDispose]());
  test.each(cases)(title, TIMES, (each) => matrix.walk(each));
});

const isLong = process.env["HARDSHARE_LONG"] !== undefined;
/** Draws the share of the cases that is tried with real engines in CI's time; the next seed draws others. */
const seed = Number(process.env["HOOK_MATRIX_SEED"] ?? Math.floor(Math.random() * 1000));
const SHARES = isLong ? { podman: 1, docker: 1 } : { podman: 10, docker: 45 };

const problem = whyNoNamespaces();
describe.skipIf(problem !== undefined)(problem === undefined ? "in a container" : `in a container (left out: ${problem})`, () => {
  // The other lists are not run in it: they are tried with one in CI by the share of podman.
  const cases = isLong ? CASES : CASES.filter(({ hook }) => hook === "init_inside");
  let matrix: Matrix;
  let engine: NamespaceEngine;
  beforeAll(async () => {
    matrix = await Matrix.make("podman", cases);
    engine = new NamespaceEngine(matrix.world.folder);
    await matrix.world.start({ openEngine: async () => engine });
  });
  afterAll(async () => {
    await matrix[Symbol.asyncDispose]();
    engine.killAll();
  });
  test.each(cases)(title, TIMES, (each) => matrix.walk(each, engine));
});

for (const real of await findRealEngines()) {
  const { provider, environment } = real;
  const share = SHARES[provider];
  const cases = CASES.filter((_, index) => index % share === seed % share);
  describeWithEngine(`in a container of ${provider} (HOOK_MATRIX_SEED=${seed})`, real, () => {
    let matrix: Matrix;
    beforeAll(async () => {
      await real.ensureImage();
      matrix = await Matrix.make(provider, cases);
      await matrix.world.start({ openEngine: undefined, environment });
    }, 600_000);
    afterAll(() => matrix[Symbol.asyncDispose]());
    test.each(cases)(title, { timeout: 60_000 }, async (each) => {
      await using engine = await real.open();
      await matrix.walk(each, engine);
    });
  });
}
