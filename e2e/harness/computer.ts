import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * What runs a command as if on a computer that was just started: a boot id of its own, an empty /run, and processes
 * that all end, at once, when the command is killed. Containers are not possible in it: their engine is shared.
 */
export async function freshlyBooted(folder: string): Promise<readonly string[]> {
  const bootId = randomUUID();
  const file = join(folder, `boot-id-${bootId}`);
  await writeFile(file, `${bootId}\n`);
  const script = `mount --bind ${file} /proc/sys/kernel/random/boot_id && mount -t tmpfs none /run && exec "$@"`;
  return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"];
}
