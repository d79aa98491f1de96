import type { Provider } from "@hardshare/protocol";
import type { JournalInstance } from "../journal/journal-state.ts";

/**
 * Why an instance that the daemon before left can only be undone, for people; undefined when it can be adopted: its
 * container may have outlived that daemon.
 * @param now.problem why its contract cannot be read
 */
export function whyUndone(
  instance: Pick<JournalInstance, "isUp" | "endReason" | "deadline">,
  now: { provider: Provider; problem: string | undefined; bootId: string },
): string | undefined {
  if (instance.endReason !== undefined) return `it was ending (${instance.endReason})`;
  if (!instance.isUp) return "its launch was under way";
  if (now.provider === "proxy") return "its filter ended with that daemon";
  if (instance.deadline?.bootId !== now.bootId) return "this computer was started again since";
  return now.problem;
}
