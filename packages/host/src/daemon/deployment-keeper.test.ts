import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeploymentId, type DesiredDeployment, type DesiredInstance, type HostToServer, InstanceId } from "@hardshare/protocol";
import { Deferred, systemClock, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeHostTools } from "../testing/host-tools.fixture.ts";
import { ReportOutbox } from "../channel/report-outbox.ts";
import { Journal } from "../journal/journal.ts";
import { DeploymentKeeper } from "./deployment-keeper.ts";

const deploymentId = DeploymentId.parse(systemRandom.uuid());
const instanceId = InstanceId.parse(systemRandom.uuid());
const clock = systemClock;
const tools = makeHostTools(clock);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-keeper-"));
});
afterEach(() => rm(folder, { recursive: true }));

function desired(instance: Partial<DesiredInstance> = {}): DesiredDeployment {
  const deadline = new Date(clock.now() + 60_000).toISOString();
  const told = { deadline, remainingMs: 60_000, publicKeys: [], tunnel: null, lastSequence: 0 };
  return {
    deploymentId,
    lockout: null,
    estop: null,
    dissolved: null,
    instance: { instanceId, epoch: 1, want: "run", user: "bob", ...told, ...instance },
  };
}

function keep(journal: Journal, outbox: ReportOutbox, lockouts: string[] = []): DeploymentKeeper {
  const lockOut = async ({ why }: { why: string }) => void lockouts.push(why);
  return new DeploymentKeeper({ deploymentId, tools, journal, outbox, lockOut, onChange: () => {}, onDissolved: () => {} });
}

test("an instance that the journal knows as running, and nothing here holds, is never told as cleanly ended", async () => {
  await using journal = await Journal.open(folder);
  const deadline = { wallMs: clock.now() + 1000, uptimeMs: 1000, bootId: "boot" };
  const at = new Date(clock.now()).toISOString();
  const text = { contract: "", folder: "/" };
  await journal.append({ kind: "started", at, deploymentId, instanceId, epoch: 1, user: "bob", deadline, ...text, sequence: 5 });
  const told = new Deferred<HostToServer>();
  using outbox = new ReportOutbox({ send: (message) => (told.resolve(message), true), clock });
  const lockouts: string[] = [];
  const keeper = keep(journal, outbox, lockouts);
  keeper.apply(desired({ lastSequence: 2 }));
  expect(await told.promise).toMatchObject({
    sequence: 6,
    body: { kind: "ended", clean: false, residue: [expect.stringContaining("holds nothing")] },
  });
  expect(lockouts).toEqual([expect.stringContaining("holds nothing")]);
  expect(journal.state.instances.get(instanceId)?.ended).toMatchObject({ clean: false });
});

/** An offer of a proxy that waits for its filter, with these programs for the end. */
async function offerProxy(keeper: DeploymentKeeper, terminate: string): Promise<void> {
  const file = join(folder, "robot.yaml");
  await writeFile(file, `provider: proxy\nservices: [{ name: ROBOT, command: sleep 60 }]\nterminate: ${terminate}\n`);
  keeper.offer.configure(file);
  await keeper.offer.open();
}

test("a deadline that is moved while the beginning is written down is written down too", async () => {
  await using journal = await Journal.open(folder);
  const accepted = new Deferred();
  const send = () => {
    accepted.resolve(); // its first word
    return true;
  };
  using outbox = new ReportOutbox({ send, clock });
  const keeper = keep(journal, outbox);
  await offerProxy(keeper, "[]");
  keeper.apply(desired());
  const earlier = clock.now() + 30_000;
  keeper.apply(desired({ deadline: new Date(earlier).toISOString(), remainingMs: 30_000 }));
  await accepted.promise;
  expect(journal.state.instances.get(instanceId)?.deadline?.wallMs).toBe(earlier);
  await keeper.close(true);
});

test("the server is told the time for the end that the running instance may need, also when the next one needs less", async () => {
  await using journal = await Journal.open(folder);
  using outbox = new ReportOutbox({ send: () => false, clock });
  const keeper = keep(journal, outbox);
  await offerProxy(keeper, "[{ run: 'true', timeout: 300 }]");
  keeper.apply(desired());
  await offerProxy(keeper, "[{ run: 'true', timeout: 5 }]");
  expect(keeper.describe().endTimeoutS).toBe(300);
  await keeper.close(true);
  expect(keeper.describe().endTimeoutS).toBe(5);
  await writeFile(join(folder, "robot.yaml"), "provider: nothing");
  await keeper.offer.reload();
  expect(keeper.describe()).toMatchObject({ provider: "proxy", endTimeoutS: 5, isAdvertised: false });
});
