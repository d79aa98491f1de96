import type { EndReason, InstanceState } from "@hardshare/protocol";

/** What may happen to an instance, as the server learns it. */
export type LifecycleEvent =
  /** Every step is done at the host, and a byte came through the whole public way. */
  | { kind: "ready" }
  /** Somebody or something wants it to end. */
  | { kind: "end"; reason: EndReason }
  /** The host let go; `isFailure` when a launch step failed. */
  | { kind: "host_ended"; reason: EndReason; isFailure: boolean }
  /** The host stayed away for too long. */
  | { kind: "host_not_confirmed" };

const ALLOWED: Record<InstanceState, readonly InstanceState[]> = {
  INIT: ["READY", "TERMINATING", "INIT_FAIL"],
  READY: ["TERMINATING"],
  TERMINATING: ["TERMINATED"],
  TERMINATED: [],
  INIT_FAIL: [],
};

/** Whether `to` may follow `from` directly: INIT → READY → TERMINATING → TERMINATED, INIT → INIT_FAIL, INIT → TERMINATING. */
export function mayFollow(from: InstanceState, to: InstanceState): boolean {
  return ALLOWED[from].includes(to);
}

/**
 * The states that an event leads through, in order; empty when it changes nothing (a late or repeated message, which
 * is recorded and ignored). Each step is one that `mayFollow` allows.
 */
export function statesAfter(from: InstanceState, event: LifecycleEvent): readonly InstanceState[] {
  switch (event.kind) {
    case "ready":
      return from === "INIT" ? ["READY"] : [];
    case "end":
      return from === "INIT" || from === "READY" ? ["TERMINATING"] : [];
    case "host_ended":
      if (from === "INIT" && event.isFailure) return ["INIT_FAIL"];
      if (from === "INIT" || from === "READY") return ["TERMINATING", "TERMINATED"];
      return from === "TERMINATING" ? ["TERMINATED"] : [];
    case "host_not_confirmed":
      if (from === "INIT" || from === "READY") return ["TERMINATING", "TERMINATED"];
      return from === "TERMINATING" ? ["TERMINATED"] : [];
  }
}
