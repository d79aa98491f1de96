import { createTestDatabase } from "@hardshare/db/testing";
import { silentLogger, systemClock } from "@hardshare/runtime";
import { borrowCluster } from "@hardshare/testkit/lending";
import { expect, inject, test } from "vitest";
import { WakeUpRouter } from "../wake-ups/wake-up-router.ts";
import { Presence } from "./presence.ts";

const template = await borrowCluster(inject("lender"));

const HOST = { role: "host", peerId: "00000000-0000-4000-8000-000000000001", session: "one", connectionId: "first" } as const;
const CONNECTION = { ping: async () => true as const, cut: () => {} };

async function withPresence(run: (presence: Presence, isConnected: () => Promise<boolean>) => Promise<void>): Promise<void> {
  await using own = await createTestDatabase(template);
  const { database } = own;
  using wakeUps = new WakeUpRouter(database.wakeUps);
  using presence = new Presence({ database, wakeUps, clock: systemClock, logger: silentLogger, replicaId: "test" });
  await run(presence, () => presence.isCurrent(HOST));
}

test("a peer is connected for nobody before what it says of itself is recorded", () =>
  withPresence(async (presence, isConnected) => {
    let wasConnected: boolean | undefined;
    await presence.enter(HOST, CONNECTION, async () => void (wasConnected = await isConnected()));
    expect(wasConnected).toBe(false);
    expect(await isConnected()).toBe(true);
  }));

test("a peer that is refused because of what it says was never connected", () =>
  withPresence(async (presence, isConnected) => {
    const refused = presence.enter(HOST, CONNECTION, async () => {
      throw new Error("another SSH host key");
    });
    await expect(refused).rejects.toThrow("another SSH host key");
    expect(await isConnected()).toBe(false);
  }));
