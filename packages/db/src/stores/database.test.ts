import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Database } from "./database.ts";
import { addWorld, newId, newLaunch, T0 } from "./sample-rows.fixture.ts";
import { openForEach, STORE_KINDS, type TestStore } from "./store-kinds.fixture.ts";
import { EVERYTHING } from "./wake-ups.ts";

/** Collects wake-ups; `next` resolves with the first one that was not yet taken. */
function collect(database: Database) {
  const heard: string[] = [];
  const waiting: ((topic: string) => void)[] = [];
  const subscription = database.wakeUps.listen((topic) => {
    const taker = waiting.shift();
    if (taker === undefined) heard.push(topic);
    else taker(topic);
  });
  const next = () =>
    new Promise<string>((resolve) => {
      const topic = heard.shift();
      if (topic === undefined) waiting.push(resolve);
      else resolve(topic);
    });
  return { heard, next, subscription };
}

describe.each(STORE_KINDS)("$name", (kind) => {
  let store: TestStore;
  let database: Database;

  openForEach(kind, (opened) => {
    store = opened;
    database = opened.database;
  });

  const names = () => database.transaction((tx) => database.users.list(tx)).then((users) => users.map((user) => user.name));

  test("a transaction that throws leaves nothing behind, and what it threw passes on", async () => {
    const world = await addWorld(database);
    const failure = new Error("no");
    const undone = database.transaction(async (tx) => {
      await database.users.add(tx, { name: "uma", at: T0 });
      await database.instances.insertLaunch(tx, newLaunch(world, { publicPort: 22_000 }));
      await database.channels.closeAllOfReplica(tx, { replicaId: "r1", at: T0 });
      throw failure;
    });
    await expect(undone).rejects.toBe(failure);
    expect(await names()).toEqual([]);
    const status = await database.transaction((tx) => database.deployments.get(tx, world.deploymentId));
    expect(status).toMatchObject({ epochCounter: 0, instanceCount: 0, holder: null, isOnline: true, hostLastSeenAt: null });
  });

  test("a transaction sees its own changes, and others see them all together", async () => {
    await using other = await store.connect();
    await database.transaction(async (tx) => {
      await database.users.add(tx, { name: "uma", at: T0 });
      await database.users.add(tx, { name: "ulf", at: T0 });
      expect((await database.users.list(tx)).map((user) => user.name)).toEqual(["ulf", "uma"]);
    });
    expect((await other.transaction((tx) => other.users.list(tx))).map((user) => user.name)).toEqual(["ulf", "uma"]);
  });

  test("after a row that breaks the schema a transaction can't go on, and none of it stays", async () => {
    const world = await addWorld(database);
    const after = database.transaction(async (tx) => {
      await database.users.add(tx, { name: "uma", at: T0 });
      const broken = database.instances.insertLaunch(tx, newLaunch({ ...world, hubId: newId() }));
      await expect(broken).rejects.toThrow("instances_hub_id_fkey");
      await database.users.list(tx);
    });
    await expect(after).rejects.toThrow("current transaction is aborted");
    expect(await names()).toEqual([]);
  });

  test("what a store returned may be changed without changing what is stored", async () => {
    const world = await addWorld(database);
    const launch = newLaunch(world);
    const get = () => database.transaction((tx) => database.instances.get(tx, launch.id));
    await database.transaction((tx) => database.instances.insertLaunch(tx, launch));
    const first = await get();
    first?.instance.publicKeys.push("ssh-ed25519 AAAA");
    first?.deployment.createdAt.setTime(0);
    expect(await get()).toMatchObject({ instance: { publicKeys: launch.publicKeys }, deployment: { createdAt: T0 } });
  });

  test("a wake-up reaches every replica when the transaction commits, and none when it is undone", async () => {
    await using replica = await store.connect();
    const [here, there] = [collect(database), collect(replica)];
    const undone = database.transaction(async (tx) => {
      await database.wakeUps.notify(tx, "host:undone");
      throw new Error("no");
    });
    await expect(undone).rejects.toThrow("no");
    await database.transaction(async (tx) => {
      await database.wakeUps.notify(tx, "host:1");
      await database.wakeUps.notify(tx, "host:1");
      await database.wakeUps.notify(tx, "hub:2");
    });
    expect([await here.next(), await here.next()]).toEqual(["host:1", "hub:2"]);
    expect([await there.next(), await there.next()]).toEqual(["host:1", "hub:2"]);
    there.subscription[Symbol.dispose]();
    await database.transaction((tx) => database.wakeUps.notify(tx, "deadlines"));
    expect(await here.next()).toBe("deadlines");
    expect([...here.heard, ...there.heard]).toEqual([]);
  });

  test("after its connection was lost, a listener hears again, and is told to look at everything", async () => {
    const { next } = collect(database);
    await store.cutWakeUps();
    expect(await next()).toBe(EVERYTHING);
    await database.transaction((tx) => database.wakeUps.notify(tx, "hub:1"));
    expect(await next()).toBe("hub:1");
  });

  test("a connection that is lost within a transaction fails that transaction, and nothing else", async () => {
    const ended = database.transaction(async (tx) => {
      await database.users.add(tx, { name: "lost", at: T0 });
      await store.cutTransaction();
      await database.users.list(tx);
    });
    await expect(ended).rejects.toMatchObject({ code: "store_unavailable" });
    expect(await names()).toEqual([]);
  });

  test("connections of a replica that is gone are cleared by another one; those of one that lives stay", async () => {
    await using _living = await store.connect({ replicaId: "living" });
    const leaving = await store.connect({ replicaId: "leaving" });
    const { channels } = database;
    await database.transaction(async (tx) => {
      for (const replicaId of ["living", "leaving"]) {
        const fixed = { role: "hub" as const, session: "s", connectedAt: T0 };
        await channels.open(tx, { ...fixed, peerId: randomUUID(), connectionId: randomUUID(), replicaId });
      }
    });
    const clear = () => database.transaction((tx) => channels.closeAllOfDeadReplicas(tx, { at: T0 }));
    expect(await clear()).toEqual([]);
    await leaving[Symbol.asyncDispose]();
    expect(await clear()).toMatchObject([{ replicaId: "leaving" }]);
  });

  test("a second process with a replica's id is refused; the first may lose its connection and comes back as itself", async () => {
    await using first = await store.connect({ replicaId: "one" });
    await expect(store.connect({ replicaId: "one" })).rejects.toMatchObject({ code: "conflict" });
    const { next } = collect(first);
    await store.cutWakeUps();
    expect(await next()).toBe(EVERYTHING);
    await expect(store.connect({ replicaId: "one" })).rejects.toMatchObject({ code: "conflict" });
  });

  test("a database that was closed is not reached any more", async () => {
    const closed = await store.connect();
    await closed[Symbol.asyncDispose]();
    await expect(closed.transaction((tx) => closed.users.list(tx))).rejects.toMatchObject({ code: "store_unavailable" });
  });
});
