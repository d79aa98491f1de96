import type { DeploymentId } from "@hardshare/protocol";
import type { Transaction } from "./database.ts";

/** How alerts of a deployment reach its owner: a POST to a URL, or a letter to an address. */
export type HookKind = "webhook" | "email";

/** Where alerts of a deployment go. */
export interface Hook {
  id: string;
  deploymentId: DeploymentId;
  kind: HookKind;
  /** The URL, or the e-mail address. */
  target: string;
  /** Sealed; with which a webhook is signed. */
  secretEncrypted: Uint8Array | null;
  createdAt: Date;
  /** When something was delivered last. */
  deliveredAt: Date | null;
  /** Why the last attempt failed; null when it did not. */
  problem: string | null;
}

/** An alert on its way to one hook. */
export interface Delivery {
  id: string;
  hook: Hook;
  /** As it is sent. */
  body: string;
  createdAt: Date;
  /** How often it was tried, with the attempt under way. */
  attempts: number;
}

/** Alerts that may wait for one hook; later ones are dropped. */
export const MAX_WAITING_DELIVERIES = 100;

/** Hooks of deployments, and what is yet to be delivered to them. */
export interface HookStore {
  /** Those of a deployment, the oldest first. */
  list(tx: Transaction, deploymentId: DeploymentId): Promise<Hook[]>;
  /** Puts these in place of all hooks of this kind; one whose target stays is kept as it is, with what waits for it. */
  replace(
    tx: Transaction,
    hooks: {
      deploymentId: DeploymentId;
      kind: HookKind;
      hooks: readonly { id: string; target: string; secretEncrypted: Uint8Array | null }[];
      at: Date;
    },
  ): Promise<void>;
  /** Lets an alert be delivered to a hook, unless too many wait for it already. @returns whether it will be */
  enqueue(tx: Transaction, delivery: { id: string; hookId: string; body: string; at: Date }): Promise<boolean>;
  /**
   * Takes deliveries that are due, for an attempt now: until `leaseUntil` nobody else takes them, and afterwards, when whoever took
   * them has died, somebody does. The longest due first.
   */
  take(tx: Transaction, query: { at: Date; leaseUntil: Date; limit: number }): Promise<Delivery[]>;
  /** When the next delivery is due; null when none waits. */
  nextAttempt(tx: Transaction): Promise<Date | null>;
  /** An attempt was made: it arrived, is tried again at a time, or is given up. Of one that is not there any more nothing changes. */
  settle(
    tx: Transaction,
    outcome: { id: string; at: Date; result: "delivered" | { problem: string; nextAttemptAt: Date | null } },
  ): Promise<void>;
}
