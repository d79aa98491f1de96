import type { Database } from "@hardshare/db";
import { MemoryStore, type StorePoint } from "@hardshare/db/memory";

/** A server's connection to the store of a simulation. */
export interface StoreConnection {
  readonly database: Database;
  /** Its process is gone: nothing more comes of what it had begun. */
  kill(): void;
  /** Faults, where the store can have them. */
  readonly faults?: { cutTransaction(): void; loseWakeUps(): void; regainWakeUps(): void };
}

export interface ConnectOptions {
  replicaId: string;
  /** Is awaited where time may pass; see `@hardshare/db/memory`. */
  pauseAt: (point: StorePoint) => Promise<void>;
}

/** What all servers of a simulation share. */
export interface SimulatedStore {
  /** Whether a query is out, for which virtual time stands still. */
  readonly isBusy: boolean;
  connect(options: ConnectOptions): Promise<StoreConnection>;
  /** For whoever sets up and judges the simulation. */
  readonly observer: Database;
  /** Remembers everything; what is returned goes back to it. Undefined where that cannot be. */
  readonly backUp: (() => () => void) | undefined;
}

/** The store in memory: nothing real is ever under way. */
export function simulateInMemory(): SimulatedStore {
  const store = new MemoryStore();
  return {
    isBusy: false,
    observer: store.connect(),
    async connect(options) {
      const database = store.connect(options);
      return {
        database,
        kill: () => database.kill(),
        faults: {
          cutTransaction: () => database.cutTransaction(),
          loseWakeUps: () => database.wakeUps.lose(),
          regainWakeUps: () => database.wakeUps.regain(),
        },
      };
    },
    backUp: () => {
      const snapshot = store.snapshot();
      return () => store.restore(snapshot);
    },
  };
}
