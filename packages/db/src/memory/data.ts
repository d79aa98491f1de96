import type { Row } from "../postgres/tables.ts";
import { Journal, Table } from "./table.ts";

/** The tables of `migrations/`, and what PostgreSQL keeps beside them. */
export class Data {
  readonly #journal = new Journal();
  readonly users = new Table<Row<"users">>(this.#journal, (row) => row.name);
  readonly tokens = new Table<Row<"tokens">>(this.#journal, (row) => row.sha256);
  readonly hosts = new Table<Row<"hosts">>(this.#journal, (row) => row.id);
  readonly hubs = new Table<Row<"hubs">>(this.#journal, (row) => row.id);
  readonly channels = new Table<Row<"channels">>(this.#journal, (row) => `${row.role}/${row.peerId}`);
  readonly deployments = new Table<Row<"deployments">>(this.#journal, (row) => row.id);
  readonly lockouts = new Table<Row<"lockouts">>(this.#journal, (row) => `${row.deploymentId}/${row.id}`);
  readonly accessRules = new Table<Row<"accessRules">>(this.#journal, (row) => `${row.deploymentId}/${row.id}`);
  readonly instances = new Table<Row<"instances">>(this.#journal, (row) => row.id);
  readonly releasedPorts = new Table<Row<"releasedPorts">>(this.#journal, (row) => `${row.hubId}/${row.port}`);
  readonly firewallRules = new Table<Row<"firewallRules">>(this.#journal, (row) => `${row.instanceId}/${row.position}`);
  readonly hooks = new Table<Row<"hooks">>(this.#journal, (row) => row.id);
  readonly deliveries = new Table<Row<"deliveries">>(this.#journal, (row) => row.id);
  readonly events = new Table<Row<"events">>(this.#journal, (row) => String(row.id));
  /** Replicas that are connected: no rows, but locks of sessions. */
  readonly livingReplicas = new Set<string>();
  #lastEventId = 0;

  /** Like a sequence: what was given stays given when the transaction is undone. */
  nextEventId(): number {
    this.#lastEventId += 1;
    return this.#lastEventId;
  }

  commit(): void {
    this.#journal.commit();
  }

  undo(): void {
    this.#journal.undo();
  }

  copyCommitted(): ReadonlyMap<string, object>[] {
    return this.#journal.copyCommitted();
  }

  /** As `backup/` restores: nobody is connected, and the ids of events go on after the last one that is there. */
  restore(copy: readonly ReadonlyMap<string, object>[]): void {
    this.#journal.replace(copy);
    for (const channel of this.channels.all()) this.channels.delete(channel);
    this.#journal.commit();
    this.#lastEventId = Math.max(0, ...this.events.all().map((event) => event.id));
  }
}
