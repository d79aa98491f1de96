import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Database } from "../stores/database.ts";
import { firstTransaction, lastTransaction, runCall, type StoreTransaction, storeTransaction } from "../stores/store-calls.fixture.ts";
import { STORE_KINDS, type TestStore } from "../stores/store-kinds.fixture.ts";

const isLong = process.env["HARDSHARE_LONG"] !== undefined;
const RUNS = isLong ? 300 : 4;
/** Ends a search for the smallest sequence that fails, too. */
const TIME_LIMIT_MS = isLong ? 300_000 : 30_000;

/** What a transaction came to: the outcome of each call, and whether all of it was committed. */
async function runTransaction(database: Database, { calls, isUndone }: StoreTransaction): Promise<unknown[]> {
  const outcomes: unknown[] = [];
  const undo = new Error("undone");
  const whole = await outcomeOf(
    database.transaction(async (tx) => {
      for (const call of calls) {
        const outcome = await outcomeOf(runCall(database, tx, call));
        outcomes.push(outcome);
        // What broke the schema ends the transaction: later calls fail in one way or another.
        if (outcome instanceof Error && !(outcome instanceof AppError)) return;
      }
      if (isUndone) throw undo;
    }),
  );
  return [...outcomes, whole].map(toComparable);
}

/** What was returned, with bytes as plain ones, or what was thrown. */
async function outcomeOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    (result) => structuredClone(result),
    (error: Error) => error,
  );
}

/** Of errors only what they say counts. */
function toComparable(outcome: unknown): unknown {
  return outcome instanceof Error ? { error: outcome.message, code: outcome instanceof AppError ? outcome.code : undefined } : outcome;
}

/** Everything that was heard until now. */
async function hearAll(database: Database, heard: readonly string[]): Promise<void> {
  await new Promise<void>((resolve) => {
    database.wakeUps.listen((topic) => topic === "the end" && resolve());
    void database.transaction((tx) => database.wakeUps.notify(tx, "the end"));
  });
  expect(heard.at(-1)).toBe("the end");
}

async function runAll(store: TestStore, transactions: readonly StoreTransaction[]): Promise<unknown[][]> {
  await using living = await store.connect({ replicaId: "living" });
  const heard: string[] = [];
  living.wakeUps.listen((topic) => heard.push(topic));
  const outcomes: unknown[][] = [];
  for (const transaction of transactions) outcomes.push(await runTransaction(store.database, transaction));
  await hearAll(living, heard);
  return [...outcomes, heard];
}

test(
  "any sequence of transactions comes to the same in memory and in PostgreSQL",
  async () => {
    const sequence = fc.array(storeTransaction, { minLength: 20, maxLength: 60, size: "max" });
    await fc.assert(
      fc.asyncProperty(sequence, async (transactions) => {
        const all = [firstTransaction, ...transactions, lastTransaction];
        const results: unknown[][][] = [];
        for (const { open } of STORE_KINDS) {
          await using store = await open();
          results.push(await runAll(store, all));
        }
        const [fake, real] = results as [unknown[][], unknown[][]];
        for (const [index, outcomes] of fake.entries()) {
          expect({ transaction: all[index], outcomes }).toEqual({ transaction: all[index], outcomes: real[index] });
        }
      }),
      { numRuns: RUNS, interruptAfterTimeLimit: TIME_LIMIT_MS },
    );
  },
  TIME_LIMIT_MS + 30_000,
);
