import { ManualClock, type Random, silentLogger, systemRandom } from "@hardshare/runtime";
import { borrowCluster } from "@hardshare/testkit/lending";
import { beforeEach, expect, inject, test } from "vitest";
import { type TestDatabase, createTestDatabase } from "../testing.ts";
import { connectDatabase } from "./postgres-database.ts";
import { T0 } from "../stores/sample-rows.fixture.ts";

const template = await borrowCluster(inject("lender"));

let own: TestDatabase;

beforeEach(async () => {
  own = await createTestDatabase(template);
  return () => own[Symbol.asyncDispose]();
});

test("two transactions that wait for each other both come to an end", async () => {
  const noJitter: Random = { ...systemRandom, fraction: () => 0 };
  await using two = await createTestDatabase(template, { random: noJitter });
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
