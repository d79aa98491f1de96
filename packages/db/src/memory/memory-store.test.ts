import { beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../stores/database.ts";
import { addWorld, T0 } from "../stores/sample-rows.fixture.ts";
import { EVERYTHING } from "../stores/wake-ups.ts";
import type { StorePoint } from "./memory-database.ts";
import { MemoryStore } from "./memory-store.ts";

/** What PostgreSQL can't be made to do at will: the rest is in `stores/`, on both. */
let store: MemoryStore;
beforeEach(() => {
  store = new MemoryStore();
});

const add = (database: Database, name: string) => database.transaction((tx) => database.users.add(tx, { name, at: T0 }));

async function namesIn(from: MemoryStore): Promise<string[]> {
  const database = from.connect();
  return (await database.transaction((tx) => database.users.list(tx))).map(({ name }) => name);
}

/** A way that is closed until it is opened. */
function closedGate() {
  let open: () => void = () => {};
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { open, passed };
}

/** A connection whose wake-ups are on their way until the gate is opened. */
function connectSlowly(options: { replicaId?: string } = {}) {
  const gate = closedGate();
  const database = store.connect({ ...options, pauseAt: (point) => (point === "wake-up" ? gate.passed : undefined) });
  const heard: string[] = [];
  database.wakeUps.listen((topic) => heard.push(topic));
  return { database, gate, heard };
}

/** Everything that was due has happened. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test("transactions take place one after the other, in the order in which they began", async () => {
  const [one, two] = [store.connect(), store.connect()];
  const steps: string[] = [];
  const run = (database: Database, name: string) =>
    database.transaction(async (tx) => {
      steps.push(`${name} begins`);
      await database.users.add(tx, { name, at: T0 });
      await database.users.list(tx);
      steps.push(`${name} ends`);
    });
  await Promise.all([run(one, "a"), run(two, "b"), run(one, "c")]);
  expect(steps).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
});

describe("a process that is killed", () => {
  test("in the middle of a transaction takes it back at once, and others go on", async () => {
    const [dying, living] = [store.connect({ replicaId: "one" }), store.connect()];
    const never = new Promise<void>(() => {});
    const begun = closedGate();
    void dying.transaction(async (tx) => {
      await dying.users.add(tx, { name: "lost", at: T0 });
      begun.open();
      await never;
    });
    await begun.passed;
    const waiting = add(living, "next");
    dying.kill();
    expect(await waiting).toBe(true);
    expect(await namesIn(store)).toEqual(["next"]);
    await using _again = store.connect({ replicaId: "one" });
  });

  test("gets nothing done any more, neither what it had begun nor what waited nor anything new", async () => {
    const [dying, living] = [store.connect(), store.connect()];
    const outcomes = [
      dying.transaction(async (tx) => {
        await dying.users.add(tx, { name: "first", at: T0 });
        dying.kill();
        await dying.users.add(tx, { name: "second", at: T0 });
      }),
      add(dying, "waits"),
      add(living, "lives"),
    ];
    const settled = await Promise.allSettled([...outcomes, outcomes[0]?.catch(() => add(dying, "new"))]);
    const unavailable = { status: "rejected", reason: { code: "store_unavailable" } };
    expect(settled).toMatchObject([unavailable, unavailable, { status: "fulfilled" }, unavailable]);
    expect(await namesIn(store)).toEqual(["lives"]);
  });

  test("hears nothing more", async () => {
    const { database: dying, gate, heard } = connectSlowly();
    const living = store.connect();
    await living.transaction((tx) => living.wakeUps.notify(tx, "host:1"));
    dying.kill();
    gate.open();
    await settle();
    expect(heard).toEqual([]);
  });

  test.each<[StorePoint, string[]]>([
    ["begin", []],
    ["statement", []],
    ["commit", []],
    ["committed", ["uma"]],
  ])("at the point %s has changed what was committed before", async (killPoint, names) => {
    const dying = store.connect({ pauseAt: (point) => (point === killPoint ? dying.kill() : undefined) });
    await expect(add(dying, "uma")).rejects.toMatchObject({ code: "store_unavailable" });
    expect(await namesIn(store)).toEqual(names);
  });
});

test("pauses come at each point, and what one throws is what the caller gets", async () => {
  const points: StorePoint[] = [];
  const database = store.connect({ pauseAt: async (point) => void points.push(point) });
  database.wakeUps.listen(() => {});
  await database.transaction((tx) => database.wakeUps.notify(tx, "host:1"));
  await settle();
  expect(points).toEqual(["begin", "statement", "commit", "committed", "wake-up"]);
  const full = new Error("disk full");
  const failing = store.connect({
    pauseAt(point) {
      if (point === "commit") throw full;
    },
  });
  await expect(add(failing, "uma")).rejects.toBe(full);
  expect(await namesIn(store)).toEqual([]);
});

test("wake-ups that take their time keep their order, and hold up nobody else", async () => {
  const { gate, heard } = connectSlowly();
  const other = store.connect();
  const heardThere: string[] = [];
  other.wakeUps.listen((topic) => heardThere.push(topic));
  for (const topic of ["host:1", "host:2"]) await other.transaction((tx) => other.wakeUps.notify(tx, topic));
  await settle();
  expect([heard, heardThere]).toEqual([[], ["host:1", "host:2"]]);
  gate.open();
  await settle();
  expect(heard).toEqual(["host:1", "host:2"]);
});

test("while its connection for wake-ups is lost, a replica hears nothing and counts as gone", async () => {
  const { database: lonely, gate, heard } = connectSlowly({ replicaId: "one" });
  const other = store.connect();
  const { hostId } = await addWorld(other);
  const channel = { role: "host" as const, peerId: hostId, replicaId: "one", connectionId: "c", session: "s", connectedAt: T0 };
  await other.transaction(async (tx) => {
    await other.channels.closeAllOfReplica(tx, { replicaId: "r1", at: T0 });
    await other.channels.open(tx, channel);
  });
  const notify = (topic: string) => other.transaction((tx) => other.wakeUps.notify(tx, topic));
  await notify("on its way");
  lonely.wakeUps.lose();
  await notify("missed");
  expect(await other.transaction((tx) => other.channels.closeAllOfDeadReplicas(tx, { at: T0 }))).toEqual([channel]);
  lonely.wakeUps.regain();
  await notify("host:1");
  gate.open();
  await settle();
  expect(heard).toEqual([EVERYTHING, "host:1"]);
});

test("a snapshot has what was committed, and going back to it forgets all that came later, and who is connected", async () => {
  const database = store.connect();
  const world = await addWorld(database);
  const get = () => database.transaction((tx) => database.deployments.get(tx, world.deploymentId));
  let snapshot = store.snapshot();
  await database.transaction(async (tx) => {
    await database.users.add(tx, { name: "later", at: T0 });
    snapshot = store.snapshot();
  });
  expect(await namesIn(store)).toEqual(["later"]);
  const lost = database.transaction(async (tx) => {
    await database.users.add(tx, { name: "under way", at: T0 });
    store.restore(snapshot);
    await database.users.list(tx);
  });
  await expect(lost).rejects.toMatchObject({ code: "store_unavailable" });
  expect(await namesIn(store)).toEqual([]);
  expect(await get()).toMatchObject({ owner: "olga", isHostConnected: false });
  const copy = new MemoryStore();
  copy.restore(snapshot);
  await add(copy.connect(), "elsewhere");
  expect([await namesIn(copy), await namesIn(store)]).toEqual([["elsewhere"], []]);
});
