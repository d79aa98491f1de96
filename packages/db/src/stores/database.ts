import type { AccessRuleStore } from "./access-rules.ts";
import type { ChannelStore } from "./channels.ts";
import type { DeploymentStore } from "./deployments.ts";
import type { EventStore } from "./events.ts";
import type { FirewallStore } from "./firewalls.ts";
import type { HookStore } from "./hooks.ts";
import type { HostStore } from "./hosts.ts";
import type { HubStore } from "./hubs.ts";
import type { InstanceStore } from "./instances.ts";
import type { LockoutStore } from "./lockouts.ts";
import type { TokenStore } from "./tokens.ts";
import type { UserStore } from "./users.ts";
import type { WakeUps } from "./wake-ups.ts";

declare const transactionBrand: unique symbol;

/** Handle of a running transaction. Opaque: only the stores of the database that gave it know what is inside. */
export interface Transaction {
  readonly [transactionBrand]: true;
}

/**
 * The store as features see it; PostgreSQL behind it in production, a fake in a simulation. Every store function takes
 * the transaction and, where it writes a time, the time. What is equal in the order of a list is ordered by id. Nothing
 * is visible to others before the transaction commits.
 */
export interface Database extends AsyncDisposable {
  /**
   * Runs `work` in one transaction (READ COMMITTED) and commits; when `work` throws, everything is undone and the error
   * passes on. Serialization failures and deadlocks run `work` again (a few times), so `work` must do nothing but
   * call stores.
   * @throws AppError `store_unavailable` when the database can't be reached, is full, or too many callers wait
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  readonly users: UserStore;
  readonly tokens: TokenStore;
  readonly hosts: HostStore;
  readonly hubs: HubStore;
  readonly channels: ChannelStore;
  readonly deployments: DeploymentStore;
  readonly lockouts: LockoutStore;
  readonly accessRules: AccessRuleStore;
  readonly instances: InstanceStore;
  readonly firewalls: FirewallStore;
  readonly events: EventStore;
  readonly hooks: HookStore;
  readonly wakeUps: WakeUps;
}
