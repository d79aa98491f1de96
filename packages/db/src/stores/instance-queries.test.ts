import type { DeploymentId, InstanceState } from "@hardshare/protocol";
import { describe, expect, test } from "vitest";
import type { Database } from "./database.ts";
import type { Instance, NewInstance } from "./instances.ts";
import { type SampleWorld, T0, addDeployment, addWorld, after, newId, newLaunch } from "./sample-rows.fixture.ts";
import { openForEach, STORE_KINDS } from "./store-kinds.fixture.ts";

describe.each(STORE_KINDS)("$name", (kind) => {
  let database: Database;
  let world: SampleWorld;

  openForEach(kind, async (store) => {
    database = store.database;
    world = await addWorld(database);
  });

  async function launchAt(deploymentId: DeploymentId, more: Partial<NewInstance> = {}): Promise<Instance> {
    return await database.transaction(async (tx) => {
      const outcome = await database.instances.insertLaunch(tx, newLaunch({ ...world, deploymentId }, more));
      if (outcome.kind === "busy") throw new Error("busy");
      return outcome.instance;
    });
  }

  async function walk(instance: Instance, states: InstanceState[], at = T0): Promise<void> {
    await database.transaction(async (tx) => {
      let from: InstanceState = "INIT";
      for (const to of states) {
        await database.instances.changeState(tx, { instanceId: instance.id, from, to, at, actor: "server" });
        from = to;
      }
    });
  }

  async function another(owner = "olga", type = "user_provided"): Promise<DeploymentId> {
    const deploymentId = newId();
    await database.transaction((tx) => addDeployment(database, tx, { hostId: world.hostId, deploymentId }, { owner, type }));
    return deploymentId;
  }

  test("a host is told of all its deployments, with lock-out and live instance; of one if asked", async () => {
    const idle = await another();
    const instance = await launchAt(world.deploymentId);
    await walk(instance, ["READY", "TERMINATING"]);
    const lockout = { id: "l1", deploymentId: idle, instanceId: null, kind: "person", reason: "arm loose", actor: "olga", at: T0 } as const;
    await database.transaction((tx) => database.lockouts.add(tx, lockout));
    const { hostId } = world;
    const all = await database.transaction((tx) => database.instances.listDesiredAtHost(tx, { hostId }));
    expect(new Map(all.map((desired) => [desired.deploymentId, desired]))).toEqual(
      new Map([
        [idle, { deploymentId: idle, owner: "olga", dissolvedAt: null, lockout, wanted: null }],
        [
          world.deploymentId,
          expect.objectContaining({
            lockout: null,
            wanted: expect.objectContaining({ hub: expect.objectContaining({ id: world.hubId }) }),
          }),
        ],
      ]),
    );
    const one = await database.transaction((tx) => database.instances.listDesiredAtHost(tx, { hostId, deploymentId: world.deploymentId }));
    expect(one).toMatchObject([{ wanted: { instance: { id: instance.id, state: "TERMINATING", publicKeys: instance.publicKeys } } }]);
  });

  test("a host is asked for the end that it has yet to confirm, also when the lock-out for it is not the oldest", async () => {
    const instance = await launchAt(world.deploymentId);
    await walk(instance, ["READY", "TERMINATING", "TERMINATED"]);
    const { hostId, deploymentId } = world;
    const lockout = { deploymentId, reason: "r", actor: "a" };
    await database.transaction(async (tx) => {
      await database.lockouts.add(tx, { ...lockout, id: "l1", kind: "person", instanceId: null, at: T0 });
      await database.lockouts.add(tx, { ...lockout, id: "l2", kind: "host_not_confirmed", instanceId: instance.id, at: T0 });
    });
    const list = () => database.transaction((tx) => database.instances.listDesiredAtHost(tx, { hostId, deploymentId }));
    expect(await list()).toMatchObject([{ lockout: { id: "l1" }, wanted: { instance: { id: instance.id, state: "TERMINATED" } } }]);
    await database.transaction((tx) => database.lockouts.lift(tx, { deploymentId, kind: "host_not_confirmed", actor: "a", at: T0 }));
    expect(await list()).toMatchObject([{ wanted: null }]);
  });

  test("a hub is told of endpoints in INIT and READY only, with the host's key and the firewall", async () => {
    const instance = await launchAt(world.deploymentId, { publicPort: 22_000 });
    const ending = await launchAt(await another());
    await walk(ending, ["READY", "TERMINATING"]);
    const { hubId } = world;
    const list = () => database.transaction((tx) => database.instances.listDesiredAtHub(tx, { hubId }));
    const expected = { forwarderKey: world.hostKey, deployment: { id: world.deploymentId, probe: "banner" } };
    expect(await list()).toMatchObject([{ ...expected, instance: { id: instance.id, publicPort: 22_000 }, firewall: null }]);
    await database.transaction(async (tx) => {
      await database.firewalls.add(tx, instance.id, { source: "10.0.0.0/8", action: "DROP" });
      await database.firewalls.add(tx, instance.id, { source: "0.0.0.0/0", action: "ACCEPT" });
    });
    expect((await list())[0]?.firewall).toEqual([
      { source: "10.0.0.0/8", action: "DROP" },
      { source: "0.0.0.0/0", action: "ACCEPT" },
    ]);
    await database.transaction((tx) => database.firewalls.flush(tx, instance.id));
    expect((await list())[0]?.firewall).toEqual([]);
    const one = (instanceId: Instance["id"]) =>
      database.transaction((tx) => database.instances.listDesiredAtHub(tx, { hubId, instanceId }));
    expect(await one(instance.id)).toHaveLength(1);
    expect(await one(ending.id)).toEqual([]);
  });

  test("the next deadline is the earliest of a used instance, and those that have come are overdue", async () => {
    const instances = { database: database.instances };
    expect(await database.transaction((tx) => instances.database.nextDeadline(tx))).toBeNull();
    const late = await launchAt(world.deploymentId, { deadline: after(90) });
    const early = await launchAt(await another(), { deadline: after(60) });
    const ended = await launchAt(await another(), { deadline: after(1) });
    await walk(ended, ["TERMINATING"]);
    await walk(early, ["READY"]);
    expect(await database.transaction((tx) => database.instances.nextDeadline(tx))).toEqual(after(60));
    const overdue = (at: Date, limit = 10) =>
      database.transaction((tx) => database.instances.listOverdue(tx, { at, limit })).then((rows) => rows.map((row) => row.id));
    expect(await overdue(after(59.999))).toEqual([]);
    expect(await overdue(after(60))).toEqual([early.id]);
    expect(await overdue(after(90))).toEqual([early.id, late.id]);
    expect(await overdue(after(90), 1)).toEqual([early.id]);
  });

  test("of ending instances it is known whether their host is there, or since when it isn't", async () => {
    const instance = await launchAt(world.deploymentId);
    await walk(instance, ["TERMINATING"], after(5));
    const list = () => database.transaction((tx) => database.instances.listEnding(tx));
    expect(await list()).toMatchObject([
      { instance: { id: instance.id, endingAt: after(5) }, endTimeoutS: 120, hostConnectedAt: expect.any(Date) },
    ]);
    await database.transaction((tx) => database.channels.closeAllOfReplica(tx, { replicaId: "r1", at: after(7) }));
    expect(await list()).toMatchObject([{ hostConnectedAt: null, hostLastSeenAt: after(7), hostId: world.hostId }]);
  });

  test("lists of instances are filtered by user, owner, type and state, ordered and paged", async () => {
    const robots = await another("robin", "fixed_misty2");
    const first = await launchAt(world.deploymentId, { at: after(1) });
    await walk(first, ["TERMINATING", "TERMINATED"]);
    const second = await launchAt(world.deploymentId, { at: after(2) });
    const third = await launchAt(robots, { at: after(3), user: "ulf" });
    const live = ["INIT", "READY"] as const;
    const list = async (query: Parameters<Database["instances"]["list"]>[1]) => {
      const { items, total } = await database.transaction((tx) => database.instances.list(tx, query));
      return { ids: items.map((item) => item.instance.id), total };
    };
    const everything = [...live, "TERMINATED"] as const;
    expect(await list({ filter: { user: "uma", states: live }, order: "newest" })).toEqual({ ids: [second.id], total: 1 });
    expect(await list({ filter: { user: "uma", states: everything }, order: "oldest" })).toEqual({ ids: [first.id, second.id], total: 2 });
    expect(await list({ filter: { owners: ["robin"], states: everything }, order: "newest" })).toEqual({ ids: [third.id], total: 1 });
    expect(await list({ filter: { type: "fixed_misty2", states: live }, order: "newest" })).toEqual({ ids: [third.id], total: 1 });
    const page = { page: 2, maxPerPage: 2 };
    expect(await list({ filter: { states: everything }, order: "newest", page })).toEqual({ ids: [first.id], total: 3 });
    const details = await database.transaction((tx) => database.instances.get(tx, third.id));
    expect(details).toMatchObject({
      deployment: { owner: "robin" },
      hub: { address: { publicHost: "hub.example" } },
      instance: { user: "ulf" },
    });
    expect(await database.transaction((tx) => database.instances.get(tx, newId()))).toBeNull();
    expect(await database.transaction((tx) => database.instances.stateOf(tx, third.id))).toBe(details?.instance.state);
    expect(await database.transaction((tx) => database.instances.stateOf(tx, newId()))).toBeNull();
  });

  test("events of one instance become visible in the order of their ids, so that a reader misses none", async () => {
    const instance = await launchAt(world.deploymentId);
    const event = { at: T0, deploymentId: world.deploymentId, instanceId: instance.id, kind: "log", actor: "host" };
    await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        database.transaction(async (tx) => {
          await database.events.append(tx, { ...event, data: { index } });
          const visible = await database.events.listOfInstance(tx, { instanceId: instance.id, afterId: 0, limit: 100 });
          // What a reader could have seen before this one committed was all written before it.
          expect(visible.at(-1)?.data).toEqual({ index });
        }),
      ),
    );
    const page = (afterId: number) =>
      database.transaction((tx) => database.events.listOfInstance(tx, { instanceId: instance.id, afterId, limit: 16 }));
    const firstPage = await page(0);
    const rest = await page(firstPage.at(-1)?.id ?? 0);
    expect(firstPage.length + rest.length).toBe(31);
    const alerts = { deploymentId: world.deploymentId, kinds: ["alert", "state"], limit: 5 };
    expect(await database.transaction((tx) => database.events.listNewestOfDeployment(tx, alerts))).toMatchObject([{ kind: "state" }]);
  });
});
