import { type EndReason, type HostAlert, InstanceState, MAX_CLAIMED_EPOCH } from "@hardshare/protocol";
import fc from "fast-check";
import type { Database, Transaction } from "./database.ts";
import { HASHES, IDS, idOf, idsOf } from "./id-pools.fixture.ts";
import { after } from "./sample-rows.fixture.ts";

/** One call of a store, as data, so that a sequence of them can be printed and shrunk. */
export interface StoreCall {
  store: StoreName;
  name: string;
  args: readonly unknown[];
}

/** Calls in one transaction, which may be undone at its end. */
export interface StoreTransaction {
  calls: StoreCall[];
  isUndone: boolean;
}

type StoreName = Exclude<keyof Database, "transaction" | typeof Symbol.asyncDispose>;
type ArgsOf<Call> = Call extends (tx: Transaction, ...args: infer Args extends readonly unknown[]) => Promise<unknown> ? Args : never;

function call<Store extends StoreName, Name extends keyof Database[Store] & string>(
  store: Store,
  name: Name,
  args: fc.Arbitrary<ArgsOf<Database[Store][Name]>>,
): fc.Arbitrary<StoreCall> {
  return args.map((given) => ({ store, name, args: given }));
}

export async function runCall(database: Database, tx: Transaction, { store, name, args }: StoreCall): Promise<unknown> {
  const functions = database[store] as unknown as Record<string, (tx: Transaction, ...args: unknown[]) => Promise<unknown>>;
  return await functions[name]?.(tx, ...args);
}

const hostId = fc.constantFrom(...IDS.host);
const hubId = fc.constantFrom(...IDS.hub);
const deploymentId = fc.constantFrom(...IDS.deployment);
const instanceId = fc.constantFrom(...IDS.instance);
const hookId = fc.constantFrom(...idsOf("hook", 3));
const deliveryId = fc.constantFrom(...idsOf("delivery", 3));
/** Far apart enough for ports to rest and wake up, few enough to be equal at times. */
const at = fc.integer({ min: 0, max: 15 }).map((count) => after(count * 100));
const user = fc.constantFrom("uma", "ulf", "Zoe", "*");
const key = fc
  .tuple(fc.constantFrom("AAAA1", "AAAA2", "AAAA3", "AAAA4"), fc.constantFrom("", " root@bench", "  eve "))
  .map(([body, comment]) => `ssh-ed25519 ${body}${comment}`);
const sha256 = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...HASHES) }, { weight: 1, arbitrary: fc.constant("A".repeat(64)) });
const nullable = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null, freq: 2 });
const optional = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const port = fc.integer({ min: 22_000, max: 22_003 });
const type = fc.constantFrom("fixed_misty2", "kobuki", "Zeta");
const states = fc.uniqueArray(fc.constantFrom(...InstanceState.options), { minLength: 1 });
const page = optional(fc.record({ page: fc.integer({ min: 1, max: 3 }), maxPerPage: fc.integer({ min: 0, max: 2 }) }));
const role = fc.constantFrom("host" as const, "hub" as const);
const peerId = fc.oneof(hostId, hubId);
const connectionId = fc.constantFrom("c1", "c2", "c3");
const replicaId = fc.constantFrom("living", "gone", "lost");
const reason = optional(fc.constantFrom<EndReason>("user", "container_died"));
const kind = fc.constantFrom("person" as const, "estop" as const, "host" as const, "host_not_confirmed" as const);
const step = fc.constantFrom(
  ["INIT", "READY"] as const,
  ["INIT", "READY"] as const,
  ["INIT", "TERMINATING"] as const,
  ["INIT", "INIT_FAIL"] as const,
  ["READY", "TERMINATING"] as const,
  ["READY", "TERMINATING"] as const,
  ["TERMINATING", "TERMINATED"] as const,
  ["TERMINATED", "READY"] as const,
);

/** Drops fields that are undefined, which the types don't allow to be there. */
function without<Value extends object>(value: fc.Arbitrary<Value>) {
  type Kept = { [Name in keyof Value]: Exclude<Value[Name], undefined> };
  return value.map((given) => Object.fromEntries(Object.entries(given).filter(([, field]) => field !== undefined)) as Kept);
}

const registry: fc.Arbitrary<StoreCall>[] = [
  call("users", "add", fc.tuple(fc.record({ name: user, at }))),
  call("users", "get", fc.tuple(user)),
  call("users", "list", fc.tuple()),
  call("tokens", "addIssued", fc.tuple(fc.record({ sha256, user, org: nullable(user), expiresAt: at, at }))),
  call(
    "tokens",
    "recordUse",
    fc.tuple(fc.record({ sha256, user, org: nullable(user), expiresAt: at, origin: nullable(fc.constant("192.0.2.1")), at })),
  ),
  call("tokens", "get", fc.tuple(sha256)),
  call("tokens", "revoke", fc.tuple(fc.record({ sha256, user, at }))),
  call("hosts", "register", fc.tuple(fc.record({ id: hostId, owner: user, name: fc.constant("bench"), publicKey: key, at }))),
  call("hosts", "get", fc.tuple(hostId)),
  call("hosts", "getByKey", fc.tuple(key)),
  call("hosts", "recordConnection", fc.tuple(fc.record({ hostId, softwareVersion: fc.constant("1"), bootId: fc.constant("b"), at }))),
  call("hubs", "register", fc.tuple(fc.record({ id: hubId, name: fc.constant("hub"), publicKey: key, sshHostKey: key, at }))),
  call("hubs", "get", fc.tuple(hubId)),
  call("hubs", "getByKey", fc.tuple(key)),
  call("hubs", "listOnline", fc.tuple()),
];

const address = fc.record({ publicHost: fc.constant("hub.example"), sshPort: fc.constant(8422), firstPort: port, lastPort: port });
const connections: fc.Arbitrary<StoreCall>[] = [
  call("hubs", "recordConnection", fc.tuple(fc.record({ hubId, softwareVersion: fc.constant("1"), address, at }))),
  call(
    "channels",
    "open",
    fc.tuple(fc.record({ role, peerId, replicaId, connectionId, session: fc.constantFrom("s1", "s2"), connectedAt: at })),
  ),
  call("channels", "close", fc.tuple(fc.record({ role, peerId, connectionId, at }))),
  call("channels", "closeAllOfReplica", fc.tuple(fc.record({ replicaId, at }))),
  call("channels", "closeAllOfDeadReplicas", fc.tuple(fc.record({ at }))),
  call("channels", "get", fc.tuple(role, peerId)),
  call("channels", "list", fc.tuple(role)),
  call("wakeUps", "notify", fc.array(fc.constantFrom("host:1", "hub:2", "deadlines"), { maxLength: 3 })),
];

const described = fc.record({
  deploymentId,
  provider: fc.constantFrom("podman" as const, "proxy" as const),
  probe: fc.constantFrom("banner" as const, "none" as const),
  publicPort: fc.boolean(),
  maxDurationS: fc.constantFrom(60.5, 3600),
  endTimeoutS: fc.constantFrom(0, 120),
  isAdvertised: fc.boolean(),
  rest: nullable(fc.record({ why: fc.constant("cooldown"), until: nullable(at.map((time) => time.toISOString())) })),
  closesAt: nullable(at.map((time) => time.toISOString())),
  alerts: fc.constantFrom<HostAlert[]>([], [{ id: "a1", at: after(1).toISOString(), message: "battery is low" }]),
  highestEpoch: fc.constantFrom(0, 3, 7, MAX_CLAIMED_EPOCH),
  current: fc.constant(null),
});
const filter = without(
  fc.record({
    query: optional(fc.constantFrom("ARM", "kobuki floor", "100%", "zeta", "möbel", "")),
    includeTypes: optional(fc.uniqueArray(type)),
    excludeTypes: optional(fc.uniqueArray(type)),
    owners: optional(fc.uniqueArray(user)),
    ids: optional(fc.uniqueArray(deploymentId)),
    withDissolved: optional(fc.boolean()),
    maxQueueLength: optional(fc.constantFrom(0, 1)),
  }),
);
const order = fc.record({
  by: fc.constantFrom("type" as const, "created" as const, "count" as const),
  direction: fc.constantFrom("asc" as const, "desc" as const),
});
const deployments: fc.Arbitrary<StoreCall>[] = [
  call(
    "deployments",
    "insert",
    fc.tuple(
      fc.record({
        id: deploymentId,
        owner: user,
        type,
        typeVersion: fc.constant(1),
        description: fc.constantFrom(null, "arm on the bench", "100% _floor_", "Möbel"),
        region: fc.constantFrom("lab", "Halle"),
        hostId: nullable(hostId),
        supportedAddons: fc.constantFrom([], ["cmd", "cam"]),
        origin: fc.constant(null),
        at,
      }),
    ),
  ),
  call("deployments", "get", fc.tuple(deploymentId)),
  call("deployments", "getForUpdate", fc.tuple(deploymentId)),
  call("deployments", "list", fc.tuple(without(fc.record({ filter: optional(filter), order: optional(order), page })))),
  call("deployments", "listOfHost", fc.tuple(hostId)),
  call("deployments", "listTypes", fc.tuple(fc.record({ withDissolved: fc.boolean() }))),
  call("deployments", "updateFromHost", fc.tuple(hostId, described)),
  call("deployments", "dissolve", fc.tuple(deploymentId, at)),
  call("deployments", "setHost", fc.tuple(deploymentId, hostId)),
  call("deployments", "raiseEpoch", fc.tuple(deploymentId, fc.integer({ min: 1, max: 9 }))),
  call("deployments", "withdrawUnlisted", fc.tuple(hostId, fc.uniqueArray(deploymentId))),
  call(
    "lockouts",
    "add",
    fc.tuple(
      fc.record({
        id: fc.constantFrom("l1", "l2", "l3"),
        deploymentId,
        instanceId: nullable(instanceId),
        kind,
        reason: fc.constant("undo failed"),
        actor: user,
        at,
      }),
    ),
  ),
  call("lockouts", "lift", fc.tuple(without(fc.record({ deploymentId, kind: optional(kind), actor: user, at })))),
  call("lockouts", "list", fc.tuple(deploymentId)),
  call("accessRules", "list", fc.tuple(deploymentId)),
  call("hooks", "list", fc.tuple(deploymentId)),
  call(
    "hooks",
    "replace",
    fc.tuple(
      fc.record({
        deploymentId,
        kind: fc.constantFrom("webhook" as const, "email" as const),
        hooks: fc.uniqueArray(
          fc.record({
            id: hookId,
            target: fc.constantFrom("https://a.example", "olga@example.org"),
            secretEncrypted: nullable(fc.constant(new Uint8Array([1, 2, 3]))),
          }),
          { selector: ({ target }) => target, maxLength: 2 },
        ),
        at,
      }),
    ),
  ),
  call("hooks", "enqueue", fc.tuple(fc.record({ id: deliveryId, hookId, body: fc.constant("{}"), at }))),
  call("hooks", "take", fc.tuple(fc.record({ at, leaseUntil: at, limit: fc.integer({ min: 1, max: 3 }) }))),
  call("hooks", "nextAttempt", fc.tuple()),
  call(
    "hooks",
    "settle",
    fc.tuple(
      fc.record({
        id: deliveryId,
        at,
        result: fc.oneof(fc.constant("delivered" as const), fc.record({ problem: fc.constant("away"), nextAttemptAt: nullable(at) })),
      }),
    ),
  ),
  call(
    "accessRules",
    "add",
    fc.tuple(fc.record({ deploymentId, user, capability: fc.constantFrom("CAP_INSTANTIATE" as const, "CAP_NO_INSTANTIATE" as const), at })),
  ),
  call("accessRules", "remove", fc.tuple(fc.record({ deploymentId, ruleId: fc.integer({ min: 1, max: 4 }) }))),
];

const launch = call(
  "instances",
  "insertLaunch",
  fc.tuple(
    fc.record({
      id: instanceId,
      deploymentId,
      user,
      hubId,
      publicPort: nullable(port),
      publicKeys: fc.constantFrom([], ["ssh-ed25519 AAAA"]),
      privateKeyEncrypted: nullable(fc.constant(new Uint8Array([1, 2, 3]))),
      requestedS: nullable(fc.constant(60.5)),
      deadline: at,
      at,
    }),
  ),
);
const changeState = call(
  "instances",
  "changeState",
  fc
    .tuple(
      step,
      without(fc.record({ instanceId, at, actor: user, reason, failedStep: optional(fc.constant("network")), failedLog: reason })),
    )
    .map(([[from, to], more]) => [{ from, to, ...more }]),
);
const mark = fc.constantFrom(
  { kind: "accepted" as const },
  { kind: "up" as const, hostKeys: ["ssh-ed25519 AAAA"] },
  { kind: "endpoint_open" as const },
  { kind: "probed" as const },
  { kind: "estop" as const },
);
const epoch = fc.constantFrom(1, 1, 1, 2, 4);
const eventFields = { at, deploymentId: nullable(deploymentId), instanceId: nullable(instanceId), actor: user };
const data = fc.constantFrom({}, { text: "ä\n", deep: { list: [1, 2.5, null, true] } }, { left: undefined, when: after(1) });
const instances: fc.Arbitrary<StoreCall>[] = [
  launch,
  changeState,
  call("instances", "pickPublicPort", fc.tuple(without(fc.record({ hubId, at, avoid: optional(fc.uniqueArray(port)) })))),
  call("instances", "reassignPort", fc.tuple(fc.record({ instanceId, from: port, at }))),
  call("instances", "mark", fc.tuple(fc.record({ instanceId, epoch, mark, at }))),
  call(
    "instances",
    "recordReport",
    fc.tuple(fc.record({ hostId, deploymentId, instanceId, epoch, sequence: fc.integer({ min: 1, max: 9 }) })),
  ),
  call("instances", "get", fc.tuple(instanceId)),
  call("instances", "getForUpdate", fc.tuple(instanceId)),
  call(
    "instances",
    "list",
    fc.tuple(
      without(
        fc.record({
          filter: without(
            fc.record({
              id: optional(instanceId),
              user: optional(user),
              owners: optional(fc.uniqueArray(user, { minLength: 1 })),
              type: optional(type),
              states,
            }),
          ),
          order: fc.constantFrom("newest" as const, "oldest" as const),
          page,
        }),
      ),
    ),
  ),
  call("instances", "listDesiredAtHost", fc.tuple(without(fc.record({ hostId, deploymentId: optional(deploymentId) })))),
  call("instances", "listDesiredAtHub", fc.tuple(without(fc.record({ hubId, instanceId: optional(instanceId) })))),
  call("instances", "nextDeadline", fc.tuple()),
  call("instances", "listOverdue", fc.tuple(fc.record({ at, limit: fc.integer({ min: 1, max: 3 }) }))),
  call("instances", "listEnding", fc.tuple()),
  call("firewalls", "get", fc.tuple(instanceId)),
  call(
    "firewalls",
    "add",
    fc.tuple(
      instanceId,
      fc.record({ source: fc.constantFrom("10.0.0.0/8", "192.0.2.1"), action: fc.constantFrom("ACCEPT" as const, "DROP" as const) }),
    ),
  ),
  call("firewalls", "flush", fc.tuple(instanceId)),
  call("events", "append", fc.tuple(fc.record({ ...eventFields, kind: fc.constantFrom("log", "alert"), data }))),
  call(
    "events",
    "listOfInstance",
    fc.tuple(fc.record({ instanceId, afterId: fc.integer({ min: 0, max: 20 }), limit: fc.integer({ min: 1, max: 9 }) })),
  ),
  call(
    "events",
    "listNewestOfDeployment",
    fc.tuple(
      fc.record({ deploymentId, kinds: fc.uniqueArray(fc.constantFrom("log", "state", "lockout")), limit: fc.integer({ min: 1, max: 9 }) }),
    ),
  ),
];

const anyCall = fc.oneof(
  { weight: 2, arbitrary: fc.oneof(...registry) },
  { weight: 2, arbitrary: fc.oneof(...connections) },
  { weight: 3, arbitrary: fc.oneof(...deployments) },
  { weight: 5, arbitrary: fc.oneof(...instances) },
  { weight: 1, arbitrary: launch },
  { weight: 3, arbitrary: changeState },
);

/** Some calls in a transaction, one in ten of which is undone. */
export const storeTransaction: fc.Arbitrary<StoreTransaction> = fc.record({
  calls: fc.array(anyCall, { minLength: 1, maxLength: 4 }),
  isUndone: fc.integer({ min: 0, max: 9 }).map((chance) => chance === 9),
});

/** What most calls need to come to anything: hosts, hubs with ports, and deployments, by the ids of the pools. */
export const firstTransaction: StoreTransaction = {
  isUndone: false,
  calls: [0, 1].flatMap((index): StoreCall[] => {
    const [host, hub, deployment] = [idOf("host", index), idOf("hub", index), idOf("deployment", index)];
    const ports = { publicHost: "hub.example", sshPort: 8422, firstPort: 22_000, lastPort: 22_003 };
    const said = { type: "kobuki", typeVersion: 1, description: null, region: "lab", supportedAddons: [], origin: null };
    return [
      { store: "hosts", name: "register", args: [{ id: host, owner: "uma", name: "bench", publicKey: `a ${host}`, at: after(0) }] },
      {
        store: "hubs",
        name: "register",
        args: [{ id: hub, name: "hub", publicKey: `a ${hub}`, sshHostKey: `b ${hub}`, at: after(0) }],
      },
      { store: "hubs", name: "recordConnection", args: [{ hubId: hub, softwareVersion: "1", address: ports, at: after(0) }] },
      { store: "deployments", name: "insert", args: [{ ...said, id: deployment, owner: "uma", hostId: host, at: after(0) }] },
    ];
  }),
};

/** Looks at all that there is, so that nothing goes unnoticed because nobody happened to ask. */
export const lastTransaction: StoreTransaction = {
  isUndone: false,
  calls: [
    { store: "users", name: "list", args: [] },
    ...HASHES.map((hash) => ({ store: "tokens", name: "get", args: [hash] }) as const),
    ...IDS.host.map((id) => ({ store: "hosts", name: "get", args: [id] }) as const),
    ...IDS.hub.map((id) => ({ store: "hubs", name: "get", args: [id] }) as const),
    ...["host", "hub"].map((each) => ({ store: "channels", name: "list", args: [each] }) as const),
    { store: "deployments", name: "list", args: [{ filter: { withDissolved: true } }] },
    ...IDS.deployment.flatMap((id): StoreCall[] => [
      { store: "lockouts", name: "list", args: [id] },
      { store: "accessRules", name: "list", args: [id] },
      { store: "hooks", name: "list", args: [id] },
      {
        store: "events",
        name: "listNewestOfDeployment",
        args: [{ deploymentId: id, kinds: ["log", "alert", "state", "lockout"], limit: 999 }],
      },
    ]),
    { store: "instances", name: "list", args: [{ filter: { states: InstanceState.options }, order: "oldest" }] },
    ...IDS.instance.flatMap((id): StoreCall[] => [
      { store: "firewalls", name: "get", args: [id] },
      { store: "events", name: "listOfInstance", args: [{ instanceId: id, afterId: 0, limit: 999 }] },
    ]),
    ...IDS.hub.map((hub) => ({ store: "instances", name: "pickPublicPort", args: [{ hubId: hub, at: after(1500) }] }) as const),
  ],
};
