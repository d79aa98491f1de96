import type { Firewall } from "@hardshare/protocol";
import { decideFirewall } from "./firewall.ts";

/** Connections and streams of users to one instance at the same time, waiting ones included. */
export const MAX_VISITORS = 512;
/** So many there may be when one more comes through the public port, where anybody may: the rest is for those who logged in. */
export const MAX_PORT_VISITORS = 384;

/** A user's connection or stream. */
export interface Visitor {
  /** The user's address. */
  address: string;
  /** Ends it at once. */
  cut(): void;
}

/** All that came from users to one instance and is still there. */
export class Visitors {
  readonly #visitors = new Set<Visitor>();

  /** @returns false when there are too many */
  add(visitor: Visitor, limit = MAX_VISITORS): boolean {
    if (this.#visitors.size >= limit) return false;
    this.#visitors.add(visitor);
    return true;
  }

  remove(visitor: Visitor): void {
    this.#visitors.delete(visitor);
  }

  /** Ends those that may no longer pass. */
  recheck(firewall: Firewall): void {
    for (const visitor of this.#visitors) if (decideFirewall(firewall, visitor.address) !== "ACCEPT") this.#cut(visitor);
  }

  cutAll(): void {
    for (const visitor of this.#visitors) this.#cut(visitor);
  }

  #cut(visitor: Visitor): void {
    this.#visitors.delete(visitor);
    visitor.cut();
  }
}
