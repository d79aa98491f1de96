import { randomUUID } from "node:crypto";
import { ManualClock, type Random, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { EVERYTHING } from "../stores/wake-ups.ts";
import { type TestCluster, type TestDatabase, createTestDatabase, startTestCluster } from "../testing.ts";
import { connectDatabase } from "./postgres-database.ts";
import { T0 } from "./sample-rows.fixture.ts";

let cluster: TestCluster;
let own: TestDatabase;

beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster?.[Symbol.asyncDispose]());
beforeEach(async () => {
  own = await createTestDatabase(cluster.connection);
  return () => own[Symbol.asyncDispose]();
});

/** Collects wake-ups; `next` resolves with the first one that was not yet taken. */
function collect(database: TestDatabase["database"]) {
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

test("a wake-up reaches every replica when the transaction commits, and none when it is undone", async () => {
  const options = { connection: own.connection, logger: silentLogger, clock: systemClock, random: systemRandom };
  await using replica = await connectDatabase(options);
  const [here, there] = [collect(own.database), collect(replica)];
  const undone = own.database.transaction(async (tx) => {
    await own.database.wakeUps.notify(tx, "host:undone");
    throw new Error("no");
  });
  await expect(undone).rejects.toThrow("no");
  await own.database.transaction(async (tx) => {
    await own.database.wakeUps.notify(tx, "host:1");
    await own.database.wakeUps.notify(tx, "host:1");
    await own.database.wakeUps.notify(tx, "hub:2");
  });
  expect([await here.next(), await here.next()]).toEqual(["host:1", "hub:2"]);
  expect([await there.next(), await there.next()]).toEqual(["host:1", "hub:2"]);
  there.subscription[Symbol.dispose]();
  await own.database.transaction((tx) => own.database.wakeUps.notify(tx, "deadlines"));
  expect(await here.next()).toBe("deadlines");
  expect([...here.heard, ...there.heard]).toEqual([]);
});

test("after its connection was lost, a listener hears again, and is told to look at everything", async () => {
  const { next } = collect(own.database);
  const admin = new pg.Client({ ...own.connection });
  await admin.connect();
  await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()");
  await admin.end();
  expect(await next()).toBe(EVERYTHING);
  await own.database.transaction((tx) => own.database.wakeUps.notify(tx, "hub:1"));
  expect(await next()).toBe("hub:1");
});

test("a connection that is lost within a transaction fails that transaction, and nothing else", async () => {
  const ended = own.database.transaction(async (tx) => {
    await own.database.users.add(tx, { name: "lost", at: T0 });
    const admin = new pg.Client({ ...own.connection });
    await admin.connect();
    await admin.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where state = 'idle in transaction' and datname = current_database()",
    );
    await admin.end();
    await own.database.users.list(tx);
  });
  await expect(ended).rejects.toMatchObject({ code: "store_unavailable" });
  expect(await own.database.transaction((tx) => own.database.users.list(tx))).toEqual([]);
});

test("connections of a replica that is gone are cleared by another one; those of one that lives stay", async () => {
  const options = { connection: own.connection, logger: silentLogger, clock: systemClock, random: systemRandom };
  await using _living = await connectDatabase({ ...options, replicaId: "living" });
  const leaving = await connectDatabase({ ...options, replicaId: "leaving" });
  const { channels } = own.database;
  await own.database.transaction(async (tx) => {
    for (const replicaId of ["living", "leaving"]) {
      const channel = { role: "hub" as const, peerId: randomUUID(), connectionId: randomUUID(), session: "s", replicaId, connectedAt: T0 };
      await channels.open(tx, channel);
    }
  });
  const clear = () => own.database.transaction((tx) => channels.closeAllOfDeadReplicas(tx, { at: T0 }));
  expect(await clear()).toEqual([]);
  await leaving[Symbol.asyncDispose]();
  expect(await clear()).toMatchObject([{ replicaId: "leaving" }]);
});

test("a second process with a replica's id is refused; the first may lose its connection and comes back as itself", async () => {
  const options = { connection: own.connection, logger: silentLogger, clock: systemClock, random: systemRandom };
  await using first = await connectDatabase({ ...options, replicaId: "one" });
  await expect(connectDatabase({ ...options, replicaId: "one" })).rejects.toMatchObject({ code: "conflict" });
  const { next } = collect(first);
  const admin = new pg.Client({ ...own.connection });
  await admin.connect();
  await admin.query(`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and database =
    (select oid from pg_database where datname = current_database())`);
  await admin.end();
  expect(await next()).toBe(EVERYTHING);
  await expect(connectDatabase({ ...options, replicaId: "one" })).rejects.toMatchObject({ code: "conflict" });
});

test("two transactions that wait for each other both come to an end", async () => {
  const noJitter: Random = { ...systemRandom, fraction: () => 0 };
  await using two = await createTestDatabase(cluster.connection, { random: noJitter });
  const { database } = two;
  let runs = 0;
  const meet = rendezvous(2);
  const insertBoth = async (first: string, second: string) =>
    await database.transaction(async (tx) => {
      runs += 1;
      await database.users.add(tx, { name: first, at: T0 });
      if (runs <= 2) await meet();
      await database.users.add(tx, { name: second, at: T0 });
    });
  await Promise.all([insertBoth("a", "b"), insertBoth("b", "a")]);
  expect(runs).toBe(3);
  expect(await database.transaction((tx) => database.users.list(tx))).toHaveLength(2);
});

/** A function that resolves for all callers when so many have called it. */
function rendezvous(parties: number): () => Promise<void> {
  const waiting: (() => void)[] = [];
  return async () => {
    const all = new Promise<void>((resolve) => waiting.push(resolve));
    if (waiting.length >= parties) for (const release of waiting) release();
    await all;
  };
}

test("a database that can't be reached, doesn't exist or refuses us says so, and what to check", async () => {
  const options = { logger: silentLogger, clock: new ManualClock(), random: systemRandom };
  const connect = async (connection: Parameters<typeof connectDatabase>[0]["connection"]) =>
    await connectDatabase({ ...options, connection }).then(
      async (database) => {
        await database[Symbol.asyncDispose]();
        return "connected";
      },
      (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
    );
  const { host, password } = own.connection;
  expect(await connect({ ...own.connection, host: "/nonexistent" })).toMatch(/^store_unavailable: The database can't be reached/);
  expect(await connect({ ...own.connection, database: "absent" })).toMatch(/^store_unavailable: .*createdb/);
  expect(await connect({ ...own.connection, password: "wrong" })).toMatch(/^store_unavailable: .*refuses the user or the password/);
  expect(await connect("http://example.org")).toMatch(/^bad_input: --database-url: expected a URL/);
  const url = `postgres://hardshare:${password}@/${own.connection.database}?host=${encodeURIComponent(host)}`;
  expect(await connect(url)).toBe("connected");
});
