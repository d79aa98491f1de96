/**
 * A child's lifeline: its standard input is a pipe whose other end only the parent holds. When the parent ends, however
 * that happens, the pipe ends and the child ends itself. Set by the environment variable, so that a program started by
 * hand (or by systemd, with /dev/null as its input) does not watch it.
 */
export const LIFELINE_VARIABLE = "HARDSHARE_LIFELINE";

/** Calls `onParentGone` once when the parent's end of standard input closes. */
export function watchLifeline(isWanted: boolean, onParentGone: () => void): void {
  if (!isWanted) return;
  process.stdin.once("end", onParentGone);
  process.stdin.once("error", onParentGone);
  process.stdin.resume();
}
