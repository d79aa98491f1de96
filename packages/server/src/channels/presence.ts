import type { Channel, Database, Transaction } from "@hardshare/db";
import { AppError, type PeerRole } from "@hardshare/protocol";
import { type Clock, Deferred, type Logger } from "@hardshare/runtime";
import { Refresher } from "../wake-ups/refresher.ts";
import { scopes } from "../wake-ups/topics.ts";
import type { WakeUpRouter } from "../wake-ups/wake-up-router.ts";

/** How long a peer may take to answer a ping before its connection counts as dead. */
const PING_TIMEOUT_MS = 1500;
/** How long the replica that holds a connection may take to say whether its peer is alive. */
const ANSWER_TIMEOUT_MS = 2000;
/** Pause before a connection's end that the store did not take is recorded again. */
const RETRY_MS = 1000;

interface Entering {
  role: PeerRole;
  peerId: string;
  session: string;
  connectionId: string;
}

/** A connection that this process holds. */
export interface HeldConnection {
  /** Settles true when the peer answers a ping; never false. */
  ping(): Promise<true>;
  /** Cuts it at once. */
  cut(): void;
}

/**
 * Who is connected, to any replica. At most one connection for each identity: the same process of a peer may replace
 * its own; another process is refused while the first one answers (a cloned card), and takes over when it does not.
 */
export class Presence implements Disposable {
  readonly #database: Database;
  readonly #wakeUps: WakeUpRouter;
  readonly #clock: Clock;
  readonly #replicaId: string;
  readonly #held = new Map<string, HeldConnection>();
  readonly #subscription: Disposable;
  readonly #logger: Logger;
  #isDisposed = false;

  constructor(deps: { database: Database; wakeUps: WakeUpRouter; clock: Clock; replicaId: string; logger: Logger }) {
    this.#database = deps.database;
    this.#wakeUps = deps.wakeUps;
    this.#clock = deps.clock;
    this.#replicaId = deps.replicaId;
    this.#logger = deps.logger;
    this.#subscription = deps.wakeUps.subscribe(scopes.presenceCheck, (connectionId) => void this.#check(connectionId));
  }

  /**
   * @param admit runs in the transaction that makes the peer count as connected: nobody sees it without what it says of itself
   * @throws AppError `identity_in_use` when another process with this identity is connected and answers
   */
  async enter(peer: Entering, connection: HeldConnection, admit: (tx: Transaction) => Promise<void>): Promise<void> {
    let inUseBy = await this.#open(peer, admit);
    if (inUseBy !== null) {
      if (await this.#isAlive(inUseBy)) throw inUse(peer.role, peer.peerId);
      await this.#close(inUseBy);
      inUseBy = await this.#open(peer, admit);
      if (inUseBy !== null) throw inUse(peer.role, peer.peerId);
    }
    this.#held.set(peer.connectionId, connection);
  }

  /** Clears what a killed process of this replica left and what ours leaves at its end, and connections to replicas that are no more. */
  async clear(): Promise<void> {
    const at = new Date(this.#clock.now());
    await this.#database.transaction(async (tx) => {
      const own = await this.#database.channels.closeAllOfReplica(tx, { replicaId: this.#replicaId, at });
      const others = await this.#database.channels.closeAllOfDeadReplicas(tx, { at });
      await this.#announce(tx, [...own, ...others]);
    });
  }

  /** Whether a connection is still the one of its peer. */
  async isCurrent(peer: { role: PeerRole; peerId: string; connectionId: string }): Promise<boolean> {
    const channel = await this.#database.transaction((tx) => this.#database.channels.get(tx, peer.role, peer.peerId));
    return channel?.connectionId === peer.connectionId;
  }

  /** The connection has ended. When the store does not take it, it is tried again until it does. */
  async leave(peer: { role: PeerRole; peerId: string; connectionId: string }): Promise<void> {
    this.#held.delete(peer.connectionId);
    if (this.#isDisposed) return;
    try {
      await this.#close(peer);
    } catch (error) {
      this.#logger.warn("cannot record that a connection ended; trying again", { role: peer.role, id: peer.peerId, error });
      this.#clock.after(RETRY_MS, () => void this.leave(peer));
    }
  }

  /** Connections that are still open are recorded as ended by `clear`. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#subscription[Symbol.dispose]();
  }

  /** @returns the connection that has the identity now, or null when it was free */
  async #open(peer: Entering, admit: (tx: Transaction) => Promise<void>): Promise<Channel | null> {
    const channel = { ...peer, replicaId: this.#replicaId, connectedAt: new Date(this.#clock.now()) };
    return this.#database.transaction(async (tx) => {
      const outcome = await this.#database.channels.open(tx, channel);
      if (outcome.kind === "in_use") return outcome.by;
      await admit(tx);
      if (outcome.replaced !== null) await this.#database.wakeUps.notify(tx, scopeOf(peer));
      await this.#database.wakeUps.notify(tx, scopes.deadlines);
      return null;
    });
  }

  async #close(peer: { role: PeerRole; peerId: string; connectionId: string }): Promise<void> {
    const { role, peerId, connectionId } = peer;
    await this.#database.transaction(async (tx) => {
      if (!(await this.#database.channels.close(tx, { role, peerId, connectionId, at: new Date(this.#clock.now()) }))) return;
      await this.#database.wakeUps.notify(tx, scopeOf(peer), scopes.deadlines);
    });
  }

  /** Asks the replica that holds a connection. One that does not answer is gone itself. */
  async #isAlive(channel: Channel): Promise<boolean> {
    if (await this.#isReplicaGone(channel)) return false;
    const answer = new Deferred<boolean>();
    using _alive = this.#wakeUps.subscribe(scopes.presenceAlive, (id) => id === channel.connectionId && answer.resolve(true));
    // The holder cuts a dead one, which takes it off the books. Other changes come under the same scope and say nothing of it.
    const look = async () => {
      if (!(await this.isCurrent(channel))) answer.resolve(false);
    };
    const refresher = new Refresher(look, () => {}); // what the store does not tell, the timer decides
    using _changed = this.#wakeUps.subscribe(scopeOf(channel), () => refresher.request(null));
    using _timer = this.#clock.after(ANSWER_TIMEOUT_MS, () => answer.resolve(false));
    try {
      await this.#database.transaction((tx) => this.#database.wakeUps.notify(tx, `${scopes.presenceCheck}/${channel.connectionId}`));
      return await answer.promise;
    } finally {
      await refresher.stop();
    }
  }

  /** Whether the replica that holds a connection is no more; then nothing that it held is on the books any longer. */
  async #isReplicaGone(channel: Channel): Promise<boolean> {
    const at = new Date(this.#clock.now());
    return await this.#database.transaction(async (tx) => {
      const closed = await this.#database.channels.closeAllOfDeadReplicas(tx, { at });
      await this.#announce(tx, closed);
      return closed.some((each) => each.connectionId === channel.connectionId);
    });
  }

  /** Peers are absent now: whoever looks after them or waits for them looks again. */
  async #announce(tx: Transaction, closed: readonly Channel[]): Promise<void> {
    if (closed.length > 0) await this.#database.wakeUps.notify(tx, ...closed.map(scopeOf), scopes.deadlines);
  }

  /** Somebody asks for one of our connections (or, after lost wake-ups, maybe for any): dead ones are cut, which makes them leave. */
  async #check(connectionId: string | null): Promise<void> {
    const connection = connectionId === null ? undefined : this.#held.get(connectionId);
    if (connection === undefined) return;
    let giveUp!: (isAlive: false) => void;
    const timedOut = new Promise<false>((resolve) => (giveUp = resolve));
    using _timer = this.#clock.after(PING_TIMEOUT_MS, () => giveUp(false));
    if (!(await Promise.race([connection.ping(), timedOut]))) return connection.cut();
    // When the store fails now, the one who asks takes over: this connection then finds that it is no longer current.
    await this.#database.transaction((tx) => this.#database.wakeUps.notify(tx, `${scopes.presenceAlive}/${connectionId}`)).catch(() => {});
  }
}

function scopeOf(peer: { role: PeerRole; peerId: string }): string {
  return peer.role === "host" ? scopes.host(peer.peerId) : scopes.hub(peer.peerId);
}

/** What to do with a copy of a host's or hub's computer. */
export const COPY_ADVICE: Record<PeerRole, string> = {
  host: "If this is a copy of another computer, it needs a new identity: move its $HARDSHARE_HOME and $HARDSHARE_STATE away, then `hardshare register`",
  hub: "If this is a copy of another computer, it needs a new identity: move its data folder away, then start it again",
};

function inUse(role: PeerRole, id: string): AppError {
  return new AppError(
    "identity_in_use",
    `another process with the identity of ${role} ${id} is connected; stop one of them. ${COPY_ADVICE[role]}`,
  );
}
