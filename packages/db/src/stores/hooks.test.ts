import { describe, expect, test } from "vitest";
import type { Database, Transaction } from "./database.ts";
import { MAX_WAITING_DELIVERIES } from "./hooks.ts";
import { addWorld, after, newId } from "./sample-rows.fixture.ts";
import { openForEach, STORE_KINDS } from "./store-kinds.fixture.ts";

describe.each(STORE_KINDS)("$name", (kind) => {
  let database: Database;
  openForEach(kind, (opened) => {
    database = opened.database;
  });

  async function build() {
    const run = <T>(work: (tx: Transaction) => Promise<T>) => database.transaction(work);
    const { deploymentId } = await addWorld(database);
    const [first, second] = [newId() as string, newId() as string];
    const hooks = [
      { id: first, target: "olga@example.org", secretEncrypted: null },
      { id: second, target: "lab@example.org", secretEncrypted: null },
    ];
    await run((tx) => database.hooks.replace(tx, { deploymentId, kind: "email", hooks, at: after(0) }));
    const list = () => run((tx) => database.hooks.list(tx, deploymentId));
    const enqueue = (hookId: string, seconds: number) => {
      const id = newId() as string;
      return run((tx) => database.hooks.enqueue(tx, { id, hookId, body: `{"n":${seconds}}`, at: after(seconds) })).then((queued) =>
        queued ? id : null,
      );
    };
    const take = (seconds: number, limit = 10) =>
      run((tx) => database.hooks.take(tx, { at: after(seconds), leaseUntil: after(seconds + 90), limit }));
    const settle = (id: string, result: Parameters<typeof database.hooks.settle>[1]["result"]) =>
      run((tx) => database.hooks.settle(tx, { id, at: after(50), result }));
    const next = () => run((tx) => database.hooks.nextAttempt(tx));
    return { run, deploymentId, first, second, list, enqueue, take, settle, next };
  }

  test("hooks of one kind are replaced, and one whose target stays keeps its secret and what waits for it", async () => {
    const { run, deploymentId, first, list, enqueue, take } = await build();
    const webhook = { id: newId() as string, target: "https://a.example", secretEncrypted: new Uint8Array([1, 2]) };
    await run((tx) => database.hooks.replace(tx, { deploymentId, kind: "webhook", hooks: [webhook], at: after(1) }));
    const waiting = await enqueue(first, 2);
    const again = [{ id: newId() as string, target: "olga@example.org", secretEncrypted: null }];
    await run((tx) => database.hooks.replace(tx, { deploymentId, kind: "email", hooks: again, at: after(3) }));
    await run((tx) =>
      database.hooks.replace(tx, {
        deploymentId,
        kind: "webhook",
        hooks: [{ ...webhook, id: newId(), secretEncrypted: new Uint8Array([9]) }],
        at: after(3),
      }),
    );
    const left = await list();
    expect(left.map(({ id, createdAt }) => [id, createdAt])).toEqual([
      [first, after(0)],
      [webhook.id, after(1)],
    ]);
    expect([...(left[1]?.secretEncrypted ?? [])]).toEqual([1, 2]);
    expect((await take(4)).map(({ id }) => id)).toEqual([waiting]);
    await run((tx) => database.hooks.replace(tx, { deploymentId, kind: "email", hooks: [], at: after(5) }));
    expect(await take(500)).toEqual([]);
  });

  test("a delivery is taken by one, and by the next when that one has died", async () => {
    const { first, enqueue, take, next } = await build();
    expect(await next()).toBeNull();
    const id = await enqueue(first, 10);
    expect(await next()).toEqual(after(10));
    expect(await take(9)).toEqual([]);
    expect(await take(10)).toMatchObject([
      { id, attempts: 1, body: '{"n":10}', createdAt: after(10), hook: { id: first, target: "olga@example.org" } },
    ]);
    expect(await take(99)).toEqual([]);
    expect(await next()).toEqual(after(100));
    expect(await take(100)).toMatchObject([{ id, attempts: 2 }]);
  });

  test("what arrived is gone, what failed is tried again at its time, and what is given up is gone; the hook knows", async () => {
    const { first, second, enqueue, take, settle, list } = await build();
    const [arrives, fails] = [await enqueue(first, 1), await enqueue(second, 2)];
    expect((await take(3)).map(({ id }) => id)).toEqual([arrives, fails]);
    await settle(arrives ?? "", "delivered");
    await settle(fails ?? "", { problem: "nobody there", nextAttemptAt: after(60) });
    const byId = async () => Object.fromEntries((await list()).map((hook) => [hook.id, hook]));
    expect((await byId())[first]).toMatchObject({ deliveredAt: after(50), problem: null });
    expect((await byId())[second]).toMatchObject({ deliveredAt: null, problem: "nobody there" });
    expect(await take(60)).toMatchObject([{ id: fails, attempts: 2 }]);
    await settle(fails ?? "", { problem: "never", nextAttemptAt: null });
    expect(await take(1000)).toEqual([]);
    expect((await byId())[second]).toMatchObject({ problem: "never" });
    await settle(newId(), "delivered"); // of one that is not there
  });

  test("only so many wait for one hook, and none for one that is not there", async () => {
    const { first, second, enqueue } = await build();
    for (let count = 0; count < MAX_WAITING_DELIVERIES; count += 1) expect(await enqueue(first, count)).not.toBeNull();
    expect(await enqueue(first, 200)).toBeNull();
    expect(await enqueue(second, 200)).not.toBeNull();
    expect(await enqueue(newId(), 200)).toBeNull();
  });
});
