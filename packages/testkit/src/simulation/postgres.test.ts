import { createTestDatabase, startTestCluster, type TestCluster } from "@hardshare/db/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresStore } from "./postgres-store.ts";
import { simulate } from "./simulate.ts";

const SEEDS = Array.from({ length: process.env["HARDSHARE_LONG"] === undefined ? 2 : 200 }, (_, index) => index + 1);

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(() => cluster[Symbol.asyncDispose]());

test.each(SEEDS)("on a real PostgreSQL, too, seed %i comes to rest and nothing is amiss", { timeout: 120_000 }, async (seed) => {
  await using store = await createTestDatabase(cluster.connection);
  const { problems, kinds } = await simulate(seed, { store: new PostgresStore(store.connection, store.database) });
  expect(problems, `seed ${seed} (${kinds.join(", ")})`).toEqual([]);
});
