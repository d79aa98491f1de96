import type { PeerRole, ServerToHost, ServerToHub } from "@hardshare/protocol";

interface Messages {
  host: ServerToHost;
  hub: ServerToHub;
}

/** @returns false when the channel has ended */
type Send = (message: never) => boolean;

/** The hosts and hubs whose channels this replica holds, for what cannot wait until somebody looks. */
export class ConnectedPeers {
  readonly #sends: Record<PeerRole, Map<string, Send>> = { host: new Map(), hub: new Map() };

  /** @returns what ends it; a newer connection of the same peer stays */
  add(role: PeerRole, peerId: string, send: Send): Disposable {
    const sends = this.#sends[role];
    sends.set(peerId, send);
    return {
      [Symbol.dispose]: () => {
        if (sends.get(peerId) === send) sends.delete(peerId);
      },
    };
  }

  /** @returns false when this replica does not hold its channel */
  send<Role extends PeerRole>(role: Role, peerId: string, message: Messages[Role]): boolean {
    return this.#sends[role].get(peerId)?.(message as never) ?? false;
  }
}
