import type { Firewall } from "@hardshare/protocol";
import { sourceOf } from "@hardshare/wire/ssh";
import { decideFirewall } from "./firewall.ts";

/** Connections and streams of users to one instance at the same time, waiting ones included. */
export const MAX_VISITORS = 512;
/** So many there may be when one more comes through the public port, where anybody may: the rest is for those who logged in. */
export const MAX_PORT_VISITORS = 384;
/** And so many of one source. */
export const MAX_PORT_VISITORS_PER_SOURCE = 64;

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
  add(visitor: Visitor): boolean {
    if (this.#visitors.size >= MAX_VISITORS) return false;
    this.#visitors.add(visitor);
    return true;
  }

  /** One who came through the public port. @returns false when there are too many */
  addFromPort(visitor: Visitor): boolean {
    if (this.#visitors.size >= MAX_PORT_VISITORS) return false;
    const source = sourceOf(visitor.address);
    let count = 0;
    for (const { address } of this.#visitors) if (sourceOf(address) === source) count += 1;
    return count < MAX_PORT_VISITORS_PER_SOURCE && this.add(visitor);
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
