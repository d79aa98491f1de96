import type { Delivery } from "@hardshare/db";
import { MemoryStore } from "@hardshare/db/memory";
import { DeploymentId } from "@hardshare/protocol";
import { ManualClock, silentLogger, systemRandom } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { WakeUpRouter } from "../../wake-ups/wake-up-router.ts";
import { DeliveriesJob } from "./deliveries-job.ts";
import { raiseAlert } from "./tell-hooks.ts";

const HOUR_MS = 3_600_000;

/** A store with a deployment that has one hook, and deliveries that end as the test says. */
async function build() {
  const clock = new ManualClock();
  const database = new MemoryStore().connect();
  const wakeUps = new WakeUpRouter(database.wakeUps);
  const deploymentId = DeploymentId.parse(systemRandom.uuid());
  const at = () => new Date(clock.now());
  await database.transaction(async (tx) => {
    const said = { type: "arm", typeVersion: 1, description: null, region: "", supportedAddons: [], origin: null };
    await database.deployments.insert(tx, { ...said, id: deploymentId, owner: "olga", hostId: null, at: at() });
    const hooks = [{ id: systemRandom.uuid(), target: "https://a.example", secretEncrypted: null }];
    await database.hooks.replace(tx, { deploymentId, kind: "webhook", hooks, at: at() });
  });
  const attempts: { delivery: Delivery; atMs: number }[] = [];
  let isDown = false;
  const start = () =>
    new DeliveriesJob({
      database,
      wakeUps,
      clock,
      random: { ...systemRandom, fraction: () => 0.5 },
      logger: silentLogger,
      async deliver(delivery) {
        attempts.push({ delivery, atMs: clock.now() });
        if (isDown) throw new Error("nobody there");
      },
    });
  const alert = (message: string) =>
    database.transaction((tx) =>
      raiseAlert({ database, random: systemRandom }, tx, { deploymentId, instanceId: null, message, at: at(), actor: "olga" }),
    );
  const waiting = () => database.transaction((tx) => database.hooks.nextAttempt(tx));
  /** Lets what is settled be acted on, as far as no time has to pass. */
  const settle = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const advance = async (ms: number) => (clock.advance(ms), settle());
  const startMs = clock.now();
  const times = () => attempts.map(({ atMs }) => (atMs - startMs) / 1000);
  return { start, alert, attempts, times, waiting, settle, advance, setDown: (down: boolean) => (isDown = down) };
}

test("an alert is delivered at once, and then waits no more", async () => {
  const { start, alert, attempts, waiting, settle } = await build();
  await using _job = start();
  await settle();
  expect(await alert("battery is low")).toEqual({ webhook: 1, email: 0 });
  await settle();
  expect(JSON.parse(attempts[0]?.delivery.body ?? "")).toMatchObject({ kind: "alert", message: "battery is low", instance: null });
  expect(attempts).toHaveLength(1);
  expect(await waiting()).toBeNull();
});

test("what does not arrive is tried again with growing pauses, and given up after a day", async () => {
  const { start, alert, times, waiting, settle, advance, setDown } = await build();
  setDown(true);
  await using _job = start();
  await alert("battery is low");
  await settle();
  for (let seconds = 0; seconds < 200; seconds += 5) await advance(5000);
  for (let hours = 0; hours < 26; hours += 0.25) await advance(HOUR_MS / 4);
  expect(times().slice(0, 6)).toEqual([0, 5, 15, 35, 75, 155]);
  expect(times().length).toBeLessThan(40);
  expect((times().at(-1) ?? 0) * 1000).toBeLessThan(24 * HOUR_MS);
  expect(await waiting()).toBeNull();
});

test("what waits survives a restart of the server", async () => {
  const { start, alert, attempts, times, settle, advance, setDown } = await build();
  setDown(true);
  const first = start();
  await alert("battery is low");
  await settle();
  await first[Symbol.asyncDispose]();
  await advance(60_000);
  setDown(false);
  await using _second = start();
  await settle();
  expect(times()).toEqual([0, 60]);
  expect(attempts.map(({ delivery }) => delivery.id)).toEqual([attempts[0]?.delivery.id, attempts[0]?.delivery.id]);
});
