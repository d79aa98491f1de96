import type { EndReason } from "@hardshare/protocol";

/** How an instance begins at this daemon. */
export type Beginning =
  /** Written to the journal, then launched. */
  | { kind: "launch" }
  /** Its container may have outlived the daemon that launched it. */
  | { kind: "adopt" }
  /** It cannot be adopted: whatever is left of it is undone. */
  | { kind: "clean_up"; reason: EndReason; problem?: string | undefined };
