import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * What runs a command as if on a computer that was just started: a boot id of its own, an empty /run, and processes
 * that all end, at once, when the command is killed. Containers are not possible in it: their engine is shared.
 */
export async function freshlyBooted(folder: string): Promise<readonly string[]> {
  const script = `${await bootIdMount(folder)} && mount -t tmpfs none /run && exec "$@"`;
  return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"];
}

/** The same, of which only the boot id is another: with the container engine of this computer. */
export async function withOtherBootId(folder: string): Promise<readonly string[]> {
  return ["unshare", "--mount", "sh", "-c", `${await bootIdMount(folder)} && exec "$@"`, "sh"];
}

async function bootIdMount(folder: string): Promise<string> {
  const bootId = randomUUID();
  const file = join(folder, `boot-id-${bootId}`);
  await writeFile(file, `${bootId}\n`);
  return `mount --bind ${file} /proc/sys/kernel/random/boot_id`;
}
