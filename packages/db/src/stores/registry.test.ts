import type { DeploymentId, HostDeployment } from "@hardshare/protocol";
import { describe, expect, test } from "vitest";
import type { Channel } from "./channels.ts";
import type { Database, Transaction } from "./database.ts";
import { MAX_FIREWALL_RULES } from "./firewalls.ts";
import { type SampleWorld, T0, addDeployment, addWorld, after, newId, newKey, newLaunch } from "./sample-rows.fixture.ts";
import { openForEach, STORE_KINDS } from "./store-kinds.fixture.ts";

describe.each(STORE_KINDS)("$name", (kind) => {
  let database: Database;

  openForEach(kind, (store) => {
    database = store.database;
  });

  function run<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return database.transaction(work);
  }

  test("a user's name is taken once", async () => {
    expect(await run((tx) => database.users.add(tx, { name: "uma", at: T0 }))).toBe(true);
    expect(await run((tx) => database.users.add(tx, { name: "uma", at: after(1) }))).toBe(false);
    await run((tx) => database.users.add(tx, { name: "olga", at: T0 }));
    expect(await run((tx) => database.users.get(tx, "uma"))).toEqual({ name: "uma", createdAt: T0 });
    expect(await run((tx) => database.users.get(tx, "nobody"))).toBeNull();
    expect((await run((tx) => database.users.list(tx))).map((user) => user.name)).toEqual(["olga", "uma"]);
  });

  test("a token's first use is kept, and one that was revoked stays so, also when it was never seen before", async () => {
    const sha256 = "a".repeat(64);
    const fixed = { user: "uma", org: null, expiresAt: after(100) };
    await run((tx) => database.tokens.addIssued(tx, { sha256, ...fixed, at: T0 }));
    const use = (at: Date, origin: string) => run((tx) => database.tokens.recordUse(tx, { sha256, ...fixed, origin, at }));
    expect(await use(after(1), "192.0.2.1")).toMatchObject({ issuedAt: T0, firstSeenAt: after(1), revokedAt: null });
    expect(await use(after(2), "192.0.2.2")).toMatchObject({ firstSeenAt: after(1), origin: "192.0.2.1" });
    const revoke = (hash: string, at: Date) => run((tx) => database.tokens.revoke(tx, { sha256: hash, user: "uma", at }));
    expect(await revoke(sha256, after(3))).toBe(true);
    expect(await revoke(sha256, after(4))).toBe(false);
    expect(await use(after(5), "192.0.2.1")).toMatchObject({ revokedAt: after(3) });
    const unseen = "b".repeat(64);
    expect(await revoke(unseen, after(3))).toBe(true);
    const used = await run((tx) => database.tokens.recordUse(tx, { sha256: unseen, ...fixed, origin: null, at: after(6) }));
    expect(used).toMatchObject({ revokedAt: after(3), firstSeenAt: after(6) });
    expect(await run((tx) => database.tokens.get(tx, "c".repeat(64)))).toBeNull();
  });

  test("an identity key is pinned once: the computer that registers again is the one it was, whatever the comment", async () => {
    const key = newKey();
    const host = { owner: "olga", name: "bench", at: T0 };
    const first = await run((tx) => database.hosts.register(tx, { ...host, id: newId(), publicKey: `${key} root@bench` }));
    const again = await run((tx) => database.hosts.register(tx, { ...host, owner: "eve", id: newId(), publicKey: `${key} eve` }));
    expect(again).toEqual(first);
    expect(first).toMatchObject({ owner: "olga", publicKey: key });
    expect(await run((tx) => database.hosts.getByKey(tx, `${key} other`))).toEqual(first);
    const hub = { id: newId(), name: "hub", publicKey: key, sshHostKey: newKey(), at: T0 };
    const pinned = await run((tx) => database.hubs.register(tx, hub));
    const other = await run((tx) => database.hubs.register(tx, { ...hub, id: newId(), sshHostKey: newKey() }));
    expect(other).toEqual(pinned);
    expect(pinned.address).toBeNull();
    expect(await run((tx) => database.hubs.getByKey(tx, key))).toEqual(pinned);
  });

  test("hubs that are connected are listed by load", async () => {
    const worlds = [await addWorld(database), await addWorld(database)];
    const [busy, idle] = worlds as [SampleWorld, SampleWorld];
    await run((tx) => database.instances.insertLaunch(tx, newLaunch(busy)));
    const online = await run((tx) => database.hubs.listOnline(tx));
    expect(online.map(({ hub, liveInstances }) => [hub.id, liveInstances])).toEqual([
      [idle.hubId, 0],
      [busy.hubId, 1],
    ]);
    await run((tx) => database.channels.closeAllOfReplica(tx, { replicaId: "r1", at: after(1) }));
    expect(await run((tx) => database.hubs.listOnline(tx))).toEqual([]);
  });

  test("a channel's identity is in use by one session, which may replace its own connection", async () => {
    const { hostId } = await addWorld(database);
    const channel: Channel = { role: "host", peerId: newId(), replicaId: "r1", connectionId: "c1", session: "s-one", connectedAt: T0 };
    const open = (more: Partial<Channel>) => run((tx) => database.channels.open(tx, { ...channel, ...more }));
    expect(await open({})).toEqual({ kind: "opened", replaced: null });
    expect(await open({ session: "s-two", connectionId: "c2" })).toEqual({ kind: "in_use", by: channel });
    expect(await open({ connectionId: "c3", replicaId: "r2" })).toEqual({ kind: "opened", replaced: channel });
    const close = (connectionId: string) =>
      run((tx) => database.channels.close(tx, { role: "host", peerId: channel.peerId, connectionId, at: after(9) }));
    expect(await close("c1")).toBe(false);
    expect(await run((tx) => database.channels.get(tx, "host", channel.peerId))).toMatchObject({ connectionId: "c3", replicaId: "r2" });
    expect(await close("c3")).toBe(true);
    expect(await run((tx) => database.channels.get(tx, "host", channel.peerId))).toBeNull();
    expect(await open({ session: "s-two" })).toMatchObject({ kind: "opened" });
    const closed = await run((tx) => database.channels.closeAllOfReplica(tx, { replicaId: "r1", at: after(10) }));
    expect(closed.map((row) => row.role).sort()).toEqual(["host", "host", "hub"]);
    expect(await run((tx) => database.hosts.get(tx, hostId))).toMatchObject({ lastSeenAt: after(10) });
    expect(await run((tx) => database.channels.list(tx, "host"))).toEqual([]);
  });

  test("a deployment is online while its host is connected and advertises it", async () => {
    const world = await addWorld(database);
    const get = () => run((tx) => database.deployments.get(tx, world.deploymentId));
    expect(await get()).toMatchObject({
      isOnline: true,
      isHostConnected: true,
      hostName: "bench",
      holder: null,
      lockout: null,
      queueLength: 0,
    });
    await run((tx) => database.deployments.withdrawUnlisted(tx, world.hostId, [world.deploymentId]));
    expect(await get()).toMatchObject({ isOnline: true });
    await run((tx) => database.deployments.withdrawUnlisted(tx, world.hostId, []));
    expect(await get()).toMatchObject({ isOnline: false, isHostConnected: true });
    await run((tx) => database.channels.closeAllOfReplica(tx, { replicaId: "r1", at: after(1) }));
    expect(await get()).toMatchObject({ isOnline: false, isHostConnected: false, hostLastSeenAt: after(1) });
  });

  test("a host describes only its own deployments", async () => {
    const [one, other] = [await addWorld(database), await addWorld(database)];
    const described: HostDeployment = {
      deploymentId: one.deploymentId,
      provider: "proxy",
      probe: "none",
      publicPort: false,
      maxDurationS: 60.5,
      endTimeoutS: 7,
      isAdvertised: false,
      rest: { why: "cooldown", until: after(60).toISOString() },
      closesAt: after(600).toISOString(),
      alerts: [{ id: "a1", at: T0.toISOString(), message: "battery is low" }],
      highestEpoch: 5,
      current: null,
    };
    expect(await run((tx) => database.deployments.updateFromHost(tx, other.hostId, described))).toBe(false);
    expect(await run((tx) => database.deployments.updateFromHost(tx, one.hostId, described))).toBe(true);
    const lower = { ...described, highestEpoch: 2 };
    await run((tx) => database.deployments.updateFromHost(tx, one.hostId, lower));
    expect(await run((tx) => database.deployments.getForUpdate(tx, one.deploymentId))).toMatchObject({
      provider: "proxy",
      probe: "none",
      hasPublicPort: false,
      maxDurationS: 60.5,
      endTimeoutS: 7,
      restWhy: "cooldown",
      restUntil: after(60),
      closesAt: after(600),
      hostAlertIds: ["a1"],
      epochCounter: 5,
    });
    await run((tx) => database.deployments.setHost(tx, one.deploymentId, other.hostId));
    expect(await run((tx) => database.deployments.updateFromHost(tx, one.hostId, described))).toBe(false);
    expect(await run((tx) => database.deployments.get(tx, one.deploymentId))).toMatchObject({ hostId: other.hostId });
  });

  test("deployments are found by words, types, owners and queue length, ordered and paged", async () => {
    const world = await addWorld(database);
    const ids = [newId(), newId(), newId()] as const;
    const add = (deploymentId: DeploymentId, more: Parameters<typeof addDeployment>[3]) =>
      run((tx) => addDeployment(database, tx, { hostId: world.hostId, deploymentId }, more));
    await add(ids[0], { type: "fixed_misty2", owner: "robin", description: "Misty in the hall", at: after(3) });
    await add(ids[1], { type: "kobuki", description: "100% _floor_", at: after(2) });
    await add(ids[2], { type: "fixed_misty2", at: after(1) });
    await run((tx) => database.instances.insertLaunch(tx, newLaunch({ ...world, deploymentId: ids[0] })));
    const list = async (...[query]: [Parameters<Database["deployments"]["list"]>[1]]) => {
      const { items, total } = await run((tx) => database.deployments.list(tx, query));
      return { ids: items.map((item) => [world.deploymentId, ...ids].indexOf(item.id)), total };
    };
    expect(await list({})).toEqual({ ids: [3, 1, 2, 0], total: 4 });
    expect(await list({ filter: { query: "misty HALL" } })).toEqual({ ids: [1], total: 1 });
    expect(await list({ filter: { query: "100%" } })).toEqual({ ids: [2], total: 1 });
    expect(await list({ filter: { includeTypes: ["fixed_misty2", "none"], maxQueueLength: 0 } })).toEqual({ ids: [3], total: 1 });
    expect(await list({ filter: { excludeTypes: ["fixed_misty2"] } })).toEqual({ ids: [2, 0], total: 2 });
    expect(await list({ filter: { owners: ["robin"] } })).toEqual({ ids: [1], total: 1 });
    expect(await list({ filter: { ids: [ids[1]] } })).toEqual({ ids: [2], total: 1 });
    expect(await list({ order: { by: "created", direction: "desc" } })).toEqual({ ids: [1, 2, 3, 0], total: 4 });
    expect(await list({ order: { by: "count", direction: "desc" }, page: { page: 1, maxPerPage: 1 } })).toEqual({ ids: [1], total: 4 });
    expect(await list({ order: { by: "created", direction: "asc" }, page: { page: 2, maxPerPage: 3 } })).toEqual({ ids: [1], total: 4 });
    expect(await run((tx) => database.deployments.listTypes(tx, { withDissolved: false }))).toEqual([
      "fixed_misty2",
      "kobuki",
      "user_provided",
    ]);
  });

  test("a deployment is dissolved once, is no longer advertised, and what its host says of it changes nothing any more", async () => {
    const { deploymentId, hostId } = await addWorld(database);
    const described: Omit<HostDeployment, "deploymentId" | "isAdvertised" | "current"> = {
      provider: "proxy",
      probe: "none",
      publicPort: false,
      maxDurationS: 60,
      endTimeoutS: 0,
      highestEpoch: 0,
      rest: null,
      closesAt: null,
      alerts: [],
    };
    const describe = () =>
      run((tx) => database.deployments.updateFromHost(tx, hostId, { ...described, deploymentId, isAdvertised: true, current: null }));
    expect(await describe()).toBe(true);
    expect(await run((tx) => database.deployments.dissolve(tx, deploymentId, T0))).toBe(true);
    expect(await run((tx) => database.deployments.dissolve(tx, deploymentId, T0))).toBe(false);
    expect(await run((tx) => database.deployments.dissolve(tx, newId(), T0))).toBe(false);
    expect(await describe()).toBe(false);
    expect(await run((tx) => database.deployments.get(tx, deploymentId))).toMatchObject({ dissolvedAt: T0, isAdvertised: false });
    const [desired] = await run((tx) => database.instances.listDesiredAtHost(tx, { hostId, deploymentId }));
    expect(desired).toMatchObject({ deploymentId, dissolvedAt: T0 });
  });

  test("access rules are numbered from one per deployment, and the same rule is there once", async () => {
    const { deploymentId } = await addWorld(database);
    const add = (user: string) =>
      run((tx) => database.accessRules.add(tx, { deploymentId, user, capability: "CAP_INSTANTIATE", at: T0 })).then(
        (added) => added.ruleId,
      );
    const added = await Promise.all(["uma", "ulf", "*", "uma", "ulf"].map(add));
    expect(new Set(added)).toEqual(new Set([1, 2, 3]));
    const second = (await run((tx) => database.accessRules.list(tx, deploymentId)))[1];
    expect(await run((tx) => database.accessRules.remove(tx, { deploymentId, ruleId: 2 }))).toEqual(second);
    expect(await run((tx) => database.accessRules.remove(tx, { deploymentId, ruleId: 2 }))).toBeNull();
    expect(await add("ute")).toBe(2);
    expect(await add("uta")).toBe(4);
    const rule = { deploymentId: newId(), user: "uma", capability: "CAP_INSTANTIATE", at: T0 } as const;
    await expect(run((tx) => database.accessRules.add(tx, rule))).rejects.toMatchObject({ code: "not_found" });
  });

  test("lock-outs add up, a host's repeated one doesn't come back after it was lifted, and each change is an event", async () => {
    const { deploymentId } = await addWorld(database);
    const lockout = { deploymentId, instanceId: null, kind: "host", reason: "undo failed", actor: "host:1", at: T0 } as const;
    const add = (id: string, more: object = {}) => run((tx) => database.lockouts.add(tx, { ...lockout, id, ...more }));
    expect(await add("l1")).toBe(true);
    expect(await add("l1")).toBe(false);
    expect(await add("l2", { kind: "host_not_confirmed", actor: "server", at: after(1) })).toBe(true);
    const status = () => run((tx) => database.deployments.get(tx, deploymentId)).then((row) => row?.lockout?.id);
    expect(await status()).toBe("l1");
    const lift = (more: object) => run((tx) => database.lockouts.lift(tx, { deploymentId, actor: "olga", at: after(2), ...more }));
    expect(await lift({ kind: "host_not_confirmed" })).toMatchObject([{ id: "l2" }]);
    expect(await status()).toBe("l1");
    expect(await lift({})).toMatchObject([{ id: "l1", reason: "undo failed" }]);
    expect(await status()).toBeUndefined();
    expect(await add("l1")).toBe(false);
    expect(await run((tx) => database.lockouts.list(tx, deploymentId))).toEqual([]);
    const events = await run((tx) => database.events.listNewestOfDeployment(tx, { deploymentId, kinds: ["lockout"], limit: 10 }));
    expect(events.map(({ actor, data }) => [actor, data["change"], data["id"]])).toEqual([
      ["olga", "lifted", "l1"],
      ["olga", "lifted", "l2"],
      ["server", "set", "l2"],
      ["host:1", "set", "l1"],
    ]);
  });

  test("a firewall is open until it was configured, keeps its order, and has a bound", async () => {
    const world = await addWorld(database);
    const launch = newLaunch(world);
    await run((tx) => database.instances.insertLaunch(tx, launch));
    const rule = { source: "192.0.2.0/24", action: "ACCEPT" } as const;
    expect(await run((tx) => database.firewalls.get(tx, launch.id))).toBeNull();
    await run(async (tx) => {
      for (let count = 0; count < MAX_FIREWALL_RULES; count += 1) await database.firewalls.add(tx, launch.id, rule);
    });
    await expect(run((tx) => database.firewalls.add(tx, launch.id, rule))).rejects.toMatchObject({ code: "conflict" });
    expect(await run((tx) => database.firewalls.get(tx, launch.id))).toHaveLength(MAX_FIREWALL_RULES);
    await run((tx) => database.firewalls.flush(tx, launch.id));
    expect(await run((tx) => database.firewalls.get(tx, launch.id))).toEqual([]);
    await expect(run((tx) => database.firewalls.flush(tx, newId()))).rejects.toMatchObject({ code: "not_found" });
  });
});
