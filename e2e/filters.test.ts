/** What an owner has of filters beside what they let through: rules that change while an instance runs, decisions, counters, taps, supervision. */
import { access, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { followEvents, type TimelineEvent } from "./harness/events.ts";
import { processesThatOpened } from "./harness/leftovers.ts";
import { type Launched, Site } from "./harness/site.ts";
import { expectAnswer } from "./harness/world.ts";

interface Status {
  deployments: { instance: { traffic: { bytes: { in: number; out: number }; messages: { in: number; blocked: number } }[] } | null }[];
}
interface Reloaded {
  deployments: { isContractNewer: boolean; rules: { service: string; problem: string | null }[] }[];
}

const ALLOW_ALL = "default: allow\nrules: []\n";
const BLOCK_BATTERY = "default: allow\nrules:\n  - block: GET /api/battery\n    because: it is being charged\n";

let site: Site;
let instance: Launched;

beforeAll(async () => {
  site = await Site.build({ service: "tap: true" });
  instance = await site.launchReady();
});
afterAll(() => site?.[Symbol.asyncDispose]());

/** Settles with the first event of the instance that fits. */
async function untilEvent(fits: (event: TimelineEvent) => boolean): Promise<TimelineEvent> {
  const found = (await followEvents(site.url, site.owner, instance.id, fits)).at(-1);
  if (found === undefined || !fits(found)) throw new Error(`the instance ended before: ${JSON.stringify(found)}`);
  return found;
}

const isDecision = (decision: string) => (event: TimelineEvent) => event.kind === "filter" && event.data["decision"] === decision;
const says = (text: string) => (event: TimelineEvent) => JSON.stringify(event.data).includes(text);

test("rules that are read again hold for the instance that runs, and what they decide is on its timeline", async () => {
  await writeFile(site.rulesFile, ALLOW_ALL);
  expect(await site.reach(instance)).toBe(200);
  expect((await untilEvent(isDecision("allow"))).data).toMatchObject({ service: "ROBOT", rule: "default", summary: "GET /api/battery" });
  await writeFile(site.rulesFile, BLOCK_BATTERY);
  expect(await site.reach(instance)).toBe(200); // nobody has said so yet
  const { deployments } = await site.owner.json<Reloaded>("reload");
  expect(deployments).toMatchObject([{ isContractNewer: false, rules: [{ service: "ROBOT", problem: null }] }]);
  expect(await site.reach(instance)).toBe(403);
  const block = await untilEvent(isDecision("block"));
  expect(block.data).toMatchObject({ rule: "GET /api/battery", because: "it is being charged", direction: "in" });
});

test("a rules file that is wrong is told with its place, and the filter goes on with the rules it has", async () => {
  await writeFile(site.rulesFile, BLOCK_BATTERY);
  await site.owner.json("reload");
  await writeFile(site.rulesFile, "default: allow\nrules:\n  - blok: GET /api/battery\n");
  const refused = await site.owner.run(["reload"]);
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain(`${site.rulesFile}:3:5: rules.0.blok: there is no field of this name here`);
  expect(await site.reach(instance)).toBe(403);
});

test("a contract that changed holds for the next instance, and reload says so", async () => {
  await writeFile(site.rulesFile, ALLOW_ALL);
  const file = join(site.owner.env["HARDSHARE_HOME"] ?? "", "deployments", `${site.deployment}.yaml`);
  const text = await readFile(file, "utf8");
  await writeFile(file, `${text}max_duration: 2h\n`);
  expect((await site.owner.json<Reloaded>("reload")).deployments).toMatchObject([{ isContractNewer: true }]);
  await writeFile(file, `${text}max_duratoin: 2h\n`);
  const refused = await site.owner.run(["reload"]);
  expect(refused.stderr).toMatch(/\.yaml:\d+:1: max_duratoin: there is no field of this name here/);
  expect(await site.reach(instance)).toBe(200);
  await writeFile(file, text);
  expect((await expectAnswer(site.owner.run(["reload"]))).stdout).toContain("ROBOT: the rules of");
});

test("status counts bytes and messages of each service", async () => {
  await site.reach(instance);
  const { deployments } = await site.owner.json<Status>("status");
  const [traffic] = deployments[0]?.instance?.traffic ?? [];
  expect(traffic?.bytes.in).toBeGreaterThan(50);
  expect(traffic?.bytes.out).toBeGreaterThan(50);
  expect(traffic?.messages.in).toBeGreaterThan(0);
  expect((await expectAnswer(site.owner.run(["status"]))).stdout).toMatch(/ROBOT: +\d+ bytes in, \d+ bytes out; \d+ messages in/);
});

test("a filter that hangs lets nothing through; the hardware is made safe, and it is started again", async () => {
  const filters = () => processesThatOpened(join(site.owner.env["HARDSHARE_STATE"] ?? "", "taps", instance.id, "ROBOT.decisions"));
  const [hung = 0] = await filters();
  const madeSafe = await site.programs.safe_state.runsFor(instance.id);
  process.kill(hung, "SIGSTOP");
  const stuck = site.reach(instance).catch(() => "cut");
  expect((await untilEvent(says("gave no sign of life for 2 s"))).kind).toBe("alert");
  expect(await stuck).toBe("cut");
  await untilEvent(says("service ROBOT runs again"));
  await untilEvent(({ kind, data }) => kind === "step" && data["step"] === "safe_state" && data["phase"] === "done");
  expect(await site.reach(instance)).toBe(200);
  expect(await filters()).not.toContain(hung);
  expect(await site.programs.safe_state.runsFor(instance.id)).toBe(madeSafe + 1);
});

test("a tap shows both directions, is its owner's alone, and outlives the instance, whose budgets go with it", async () => {
  await site.reach(instance);
  const state = site.owner.env["HARDSHARE_STATE"] ?? "";
  await access(join(state, "instances", instance.id)); // throws when it is not there
  await site.end(instance);
  const { stdout } = await expectAnswer(site.owner.run(["tap", instance.id.slice(0, 8), "--format", "json"]));
  const records = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { service: string; direction: string; text: string });
  expect(records.find(({ direction }) => direction === "in")?.text).toContain("GET /api/battery HTTP/1.1\r\n");
  expect(records.find(({ direction }) => direction === "out")?.text).toContain("HTTP/1.1 200 OK\r\n");
  expect((await expectAnswer(site.owner.run(["tap"]))).stdout).toMatch(/ROBOT#\d+ → GET \/api\/battery HTTP\/1\.1⏎/);
  for (const name of ["ROBOT.tap", "ROBOT.decisions"]) {
    expect((await stat(join(state, "taps", instance.id, name))).mode & 0o777).toBe(0o600);
  }
  await expect(access(join(state, "instances", instance.id))).rejects.toMatchObject({ code: "ENOENT" });
  const { stderr } = await expectAnswer(site.owner.run(["info", instance.id, "--follow"]));
  expect(stderr).toMatch(/✗ ROBOT → GET \/api\/battery: it is being charged {2}\(rule GET \/api\/battery\)/);
  expect(stderr).toMatch(/ROBOT → \d+ bytes: GET \/api\/battery/);
  expect(stderr).toMatch(/ROBOT: [\d k]+\w+ in, .* refused\n/);
});
