import { AppError, type HubId } from "@hardshare/protocol";
import { describe, expect, test } from "vitest";
import type { Database } from "./database.ts";
import type { Instance, NewInstance } from "./instances.ts";
import { type SampleWorld, T0, addWorld, after, newId, newLaunch } from "./sample-rows.fixture.ts";
import { openForEach, STORE_KINDS } from "./store-kinds.fixture.ts";

describe.each(STORE_KINDS)("$name", (kind) => {
  let database: Database;
  let world: SampleWorld;

  openForEach(kind, async (store) => {
    database = store.database;
    world = await addWorld(database);
  });

  async function launch(more: Partial<NewInstance> = {}): Promise<Instance> {
    const outcome = await database.transaction((tx) => database.instances.insertLaunch(tx, newLaunch(world, more)));
    if (outcome.kind === "busy") throw new Error("busy");
    return outcome.instance;
  }

  async function change(instance: Instance, from: Instance["state"], to: Instance["state"], at = T0): Promise<Instance | null> {
    return await database.transaction((tx) =>
      database.instances.changeState(tx, { instanceId: instance.id, from, to, at, actor: "server" }),
    );
  }

  async function pick(at: Date): Promise<number | null> {
    return await database.transaction((tx) => database.instances.pickPublicPort(tx, { hubId: world.hubId, at }));
  }

  async function end(instance: Instance, at: Date): Promise<void> {
    await change(instance, "INIT", "TERMINATING", at);
    await change(instance, "TERMINATING", "TERMINATED", at);
  }

  test("of a hundred launches at the same time exactly one wins, and the others learn who holds it (G1)", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        database.transaction((tx) => database.instances.insertLaunch(tx, newLaunch(world, { user: `user${index}` }))),
      ),
    );
    const winners = outcomes.filter((outcome) => outcome.kind === "launched");
    expect(winners).toHaveLength(1);
    const holders = new Set(outcomes.flatMap((outcome) => (outcome.kind === "busy" ? [outcome.holder.instanceId] : [])));
    expect([...holders]).toEqual([winners[0]?.instance.id]);
    const status = await database.transaction((tx) => database.deployments.get(tx, world.deploymentId));
    expect(status).toMatchObject({ epochCounter: 1, instanceCount: 1, queueLength: 1, isOnline: true });
  });

  test("launches and ends that race at one deployment never leave two live instances, and epochs grow by one", async () => {
    let epochs: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, () =>
          database.transaction(async (tx) => {
            const outcome = await database.instances.insertLaunch(tx, newLaunch(world));
            if (outcome.kind === "busy") return null;
            const fixed = { instanceId: outcome.instance.id, at: T0, actor: "server" };
            await database.instances.changeState(tx, { ...fixed, from: "INIT", to: "TERMINATING" });
            await database.instances.changeState(tx, { ...fixed, from: "TERMINATING", to: "TERMINATED" });
            return outcome.instance.epoch;
          }),
        ),
      );
      epochs = [...epochs, ...outcomes.filter((epoch) => epoch !== null)];
    }
    expect(epochs.sort((a, b) => a - b)).toEqual(epochs.map((_, index) => index + 1));
  });

  test("a launch that is undone leaves no trace, not even in the epochs", async () => {
    const failing = database.transaction(async (tx) => {
      await database.instances.insertLaunch(tx, newLaunch(world));
      throw new AppError("access_denied", "no");
    });
    await expect(failing).rejects.toThrow("no");
    expect(await launch()).toMatchObject({ epoch: 1 });
  });

  test("a host's highest epoch raises the counter, so that a restored database repeats none", async () => {
    const described = {
      provider: "podman",
      probe: "banner",
      publicPort: true,
      maxDurationS: 60,
      endTimeoutS: 0,
      isAdvertised: true,
      rest: null,
      closesAt: null,
    } as const;
    await database.transaction((tx) =>
      database.deployments.updateFromHost(tx, world.hostId, {
        ...described,
        deploymentId: world.deploymentId,
        alerts: [],
        highestEpoch: 41,
        current: null,
      }),
    );
    expect(await launch()).toMatchObject({ epoch: 42 });
  });

  test("an unknown deployment can't be launched", async () => {
    await expect(launch({ deploymentId: newId() })).rejects.toMatchObject({ code: "not_found" });
  });

  test("a launch that names a port another live instance has is refused by the database", async () => {
    const other = { ...(await addWorld(database)), hubId: world.hubId };
    await launch({ publicPort: 22_001 });
    const second = database.transaction((tx) => database.instances.insertLaunch(tx, newLaunch(other, { publicPort: 22_001 })));
    await expect(second).rejects.toThrow("live_public_ports");
  });

  test("each of many launches at one hub gets a port of its own, until none is left", async () => {
    const worlds = await Promise.all(Array.from({ length: 6 }, () => addWorld(database)));
    const ports = await Promise.all(
      worlds.map((other) =>
        database.transaction(async (tx) => {
          const publicPort = await database.instances.pickPublicPort(tx, { hubId: world.hubId, at: T0 });
          if (publicPort !== null) await database.instances.insertLaunch(tx, newLaunch({ ...other, hubId: world.hubId }, { publicPort }));
          return publicPort;
        }),
      ),
    );
    expect(ports.filter((port) => port !== null).sort((a, b) => a - b)).toEqual([22_000, 22_001, 22_002, 22_003]);
    expect(ports.filter((port) => port === null)).toHaveLength(2);
  });

  test("hubs begin at different ports of the same range, and go round in it", async () => {
    const id = newId();
    const starts: number[] = [];
    for (const digit of "0123") {
      const { hubId } = await addWorld(database, id.replace(/.$/, digit) as HubId);
      const picked: number[] = [];
      for (let count = 0; count < 4; count += 1) {
        const options = { hubId, at: T0, avoid: [...picked] };
        picked.push((await database.transaction((tx) => database.instances.pickPublicPort(tx, options))) ?? 0);
      }
      const [start = 0] = picked;
      expect(picked).toEqual([0, 1, 2, 3].map((turn) => 22_000 + ((start - 22_000 + turn) % 4)));
      starts.push(start);
    }
    expect(starts.toSorted((a, b) => a - b)).toEqual([22_000, 22_001, 22_002, 22_003]);
  });

  test("a port rests for ten minutes after its instance ended, and then the longest unused comes first", async () => {
    for (const [index, port] of [22_000, 22_001, 22_002, 22_003].entries()) {
      await end(await launch({ publicPort: port, at: after(index) }), after(10 - index));
    }
    expect(await pick(after(10))).toBeNull();
    expect(await pick(after(606.9))).toBeNull();
    expect(await pick(after(607))).toBe(22_003);
    expect(await pick(after(700))).toBe(22_003);
  });

  test("how long a port rests at one hub has nothing to do with the same port of another hub", async () => {
    const other = await addWorld(database);
    await end(await launch({ publicPort: 22_000 }), T0);
    const elsewhere = await database.transaction((tx) =>
      database.instances.insertLaunch(tx, newLaunch(other, { publicPort: 22_000, user: "ugo" })),
    );
    if (elsewhere.kind === "busy") throw new Error("busy");
    await end(elsewhere.instance, after(500));
    for (const port of [22_001, 22_002, 22_003]) await end(await launch({ publicPort: port }), after(550));
    const pickAt = (hubId: SampleWorld["hubId"], at: Date) =>
      database.transaction((tx) => database.instances.pickPublicPort(tx, { hubId, at }));
    expect(await pickAt(world.hubId, after(599))).toBeNull();
    expect(await pickAt(world.hubId, after(600))).toBe(22_000);
    expect(await pickAt(other.hubId, after(600))).toBeOneOf([22_001, 22_002, 22_003]);
  });

  test("a failed launch's port rests too", async () => {
    const instance = await launch({ publicPort: 22_000 });
    await change(instance, "INIT", "INIT_FAIL", after(1));
    expect(await pick(after(2))).toBeOneOf([22_001, 22_002, 22_003]);
  });

  test("a port that a stranger holds is exchanged while INIT, and the endpoint counts as not open", async () => {
    const instance = await launch({ publicPort: 22_000 });
    const fixed = { instanceId: instance.id, epoch: 1 };
    await database.transaction((tx) => database.instances.mark(tx, { ...fixed, mark: { kind: "endpoint_open" }, at: T0 }));
    const reassign = (from: number) =>
      database.transaction((tx) => database.instances.reassignPort(tx, { instanceId: instance.id, from, at: after(1) }));
    const exchanged = await reassign(22_000);
    expect(exchanged).toMatchObject({ publicPort: expect.toBeOneOf([22_001, 22_002, 22_003]) as number, endpointOpenAt: null });
    const publicPort = exchanged?.publicPort ?? 0;
    expect(await reassign(22_000)).toBeNull(); // the hub's repeated word about the old port
    expect(await pick(after(2))).toBeOneOf([22_001, 22_002, 22_003].filter((port) => port !== publicPort));
    await change(instance, "INIT", "READY");
    expect(await reassign(publicPort)).toBeNull();
  });

  test("a change of state happens once, only from the expected state, and writes its event with it", async () => {
    const { id: instanceId, ...rest } = await launch({ privateKeyEncrypted: new Uint8Array([1, 2, 3]) });
    expect([...(rest.privateKeyEncrypted ?? [])]).toEqual([1, 2, 3]);
    const toReady = { instanceId, from: "INIT", to: "READY", at: after(1), actor: "server" } as const;
    const wins = await Promise.all(
      Array.from({ length: 10 }, () => database.transaction((tx) => database.instances.changeState(tx, toReady))),
    );
    expect(wins.filter((instance) => instance !== null)).toMatchObject([{ state: "READY", readyAt: after(1) }]);
    const toEnd = { instanceId, from: "READY", to: "TERMINATING", at: after(2), actor: "uma", reason: "user" } as const;
    const undone = database.transaction(async (tx) => {
      await database.instances.changeState(tx, toEnd);
      throw new Error("power cut");
    });
    await expect(undone).rejects.toThrow("power cut");
    const ending = await database.transaction((tx) => database.instances.changeState(tx, toEnd));
    expect(ending).toMatchObject({ state: "TERMINATING", endingAt: after(2), endReason: "user", privateKeyEncrypted: null });
    const last = { ...toEnd, from: "TERMINATING", to: "TERMINATED", at: after(3), reason: "container_died", actor: "host" } as const;
    expect(await database.transaction((tx) => database.instances.changeState(tx, last))).toMatchObject({
      endedAt: after(3),
      endReason: "user",
    });
    const events = await database.transaction((tx) => database.events.listOfInstance(tx, { instanceId, afterId: 0, limit: 100 }));
    expect(events.map(({ kind, actor, data }) => ({ kind, actor, ...data }))).toMatchInlineSnapshot(`
    [
      {
        "actor": "uma",
        "epoch": 1,
        "kind": "state",
        "state": "INIT",
      },
      {
        "actor": "server",
        "kind": "state",
        "state": "READY",
      },
      {
        "actor": "uma",
        "kind": "state",
        "reason": "user",
        "state": "TERMINATING",
      },
      {
        "actor": "host",
        "kind": "state",
        "reason": "container_died",
        "state": "TERMINATED",
      },
    ]
  `);
  });

  test("a step that the lifecycle doesn't know is a mistake, not a change", async () => {
    const instance = await launch();
    await expect(change(instance, "TERMINATING", "READY")).rejects.toThrow("can't go from TERMINATING to READY");
  });

  test("marks keep their first time, need the epoch, and end with the life", async () => {
    const { id: instanceId } = await launch();
    const mark = (kind: "accepted" | "probed", epoch: number, at: Date) =>
      database.transaction((tx) => database.instances.mark(tx, { instanceId, epoch, mark: { kind }, at }));
    expect(await mark("accepted", 1, after(1))).toMatchObject({ acceptedAt: after(1) });
    expect(await mark("accepted", 1, after(2))).toMatchObject({ acceptedAt: after(1) });
    expect(await mark("accepted", 2, after(2))).toBeNull();
    const up = { kind: "up", hostKeys: ["ssh-ed25519 AAAA"] } as const;
    const marked = await database.transaction((tx) => database.instances.mark(tx, { instanceId, epoch: 1, mark: up, at: after(3) }));
    expect(marked).toMatchObject({ upAt: after(3), hostKeys: ["ssh-ed25519 AAAA"], acceptedAt: after(1) });
    await database.transaction((tx) =>
      database.instances.changeState(tx, { instanceId, from: "INIT", to: "INIT_FAIL", at: after(4), actor: "host", failedStep: "network" }),
    );
    expect(await mark("probed", 1, after(5))).toBeNull();
  });

  test("a report is recorded once, and only from the host, epoch and deployment that it fits", async () => {
    const { id: instanceId } = await launch();
    const report = { hostId: world.hostId, deploymentId: world.deploymentId, instanceId, epoch: 1, sequence: 3 };
    const record = (more: Partial<typeof report>) =>
      database.transaction((tx) => database.instances.recordReport(tx, { ...report, ...more }).then(({ kind }) => kind));
    expect(await record({})).toBe("recorded");
    expect(await record({})).toBe("repeated");
    expect(await record({ sequence: 2 })).toBe("repeated");
    expect(await record({ sequence: 4 })).toBe("recorded");
    expect(await record({ sequence: 5, epoch: 2 })).toBe("unknown");
    expect(await record({ sequence: 5, hostId: newId() })).toBe("unknown");
    expect(await record({ sequence: 5, instanceId: newId() })).toBe("unknown");
  });
});
