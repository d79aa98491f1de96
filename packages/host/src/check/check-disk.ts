import { statfs } from "node:fs/promises";
import type { Findings } from "./findings.ts";

/** With less the journal may soon not be written any more. */
const FULL_BELOW_BYTES = 64 * 1024 ** 2;
const LOW_BELOW_BYTES = 1024 ** 3;

/** Looks how much room is left in the file system of a folder. */
export async function checkDisk(folder: string, findings: Findings): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const cause = `${Math.floor(free / 1024 ** 2)} MiB are free at ${folder}`;
  if (free < FULL_BELOW_BYTES) findings.add("disk_full", cause);
  else if (free < LOW_BELOW_BYTES) findings.add("disk_low", cause);
}
