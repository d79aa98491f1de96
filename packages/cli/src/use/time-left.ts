import { formatDuration, type InstanceView, isFinalState } from "@hardshare/protocol";
import { latestEndMs } from "../launches/launch-folder.ts";

/** How long a live instance may go on, in words; undefined when it has ended. */
export function timeLeft(view: InstanceView, nowMs: number): string | undefined {
  const end = latestEndMs(view);
  if (end === null || isFinalState(view.status)) return undefined;
  return formatDuration((end - nowMs) / 1000);
}
