import { createTestDatabase } from "@hardshare/db/testing";
import { expect, inject, test } from "vitest";
import { borrowCluster } from "../lending/index.ts";
import { PostgresStore } from "./postgres-store.ts";
import { simulate } from "./simulate.ts";

const SEEDS = Array.from({ length: process.env["HARDSHARE_LONG"] === undefined ? 2 : 200 }, (_, index) => index + 1);

test.each(SEEDS)("on a real PostgreSQL, too, seed %i comes to rest and nothing is amiss", { timeout: 120_000 }, async (seed) => {
  await using store = await createTestDatabase(await borrowCluster(inject("lender")));
  const { problems, kinds } = await simulate(seed, { store: new PostgresStore(store.connection, store.database) });
  expect(problems, `seed ${seed} (${kinds.join(", ")})`).toEqual([]);
});
