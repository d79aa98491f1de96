import { Data } from "./data.ts";
import { MemoryDatabase, type MemoryDatabaseOptions, type SharedStore } from "./memory-database.ts";
import { Turns } from "./turns.ts";

declare const snapshotBrand: unique symbol;

/** What was committed at one moment: a backup. */
export interface StoreSnapshot {
  readonly [snapshotBrand]: true;
}

/** What PostgreSQL is to the replicas of a server: the data that their connections share. */
export class MemoryStore {
  readonly #shared: SharedStore = { data: new Data(), turns: new Turns(), connections: new Set() };

  /** @throws AppError `conflict` when another connection is this replica */
  connect(options: MemoryDatabaseOptions = {}): MemoryDatabase {
    return new MemoryDatabase(this.#shared, options);
  }

  snapshot(): StoreSnapshot {
    return this.#shared.data.copyCommitted() as unknown as StoreSnapshot;
  }

  /**
   * Goes back to a snapshot, of this store or another one, as a restored backup does: channels are not in it.
   * A transaction under way is lost.
   */
  restore(snapshot: StoreSnapshot): void {
    for (const connection of this.#shared.connections) connection.cutTransaction();
    this.#shared.data.restore(snapshot as unknown as ReadonlyMap<string, object>[]);
  }
}
