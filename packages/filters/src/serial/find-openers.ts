import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** Programs that have a device file open, as far as this user may see them, such as `ModemManager (process 812)`; not this one. */
export async function findOpeners(path: string): Promise<string[]> {
  const device = await stat(path).catch(() => undefined);
  const processes = await readdir("/proc").catch((): string[] => []); // no /proc on this system
  if (device === undefined) return [];
  const found = await Promise.all(
    processes.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid).map((pid) => hasOpen(pid, device.rdev)),
  );
  return found.filter((name) => name !== undefined);
}

async function hasOpen(pid: string, rdev: number): Promise<string | undefined> {
  try {
    for (const fd of await readdir(join("/proc", pid, "fd"))) {
      const facts = await stat(join("/proc", pid, "fd", fd)).catch(() => undefined);
      if (facts?.isCharacterDevice() !== true || facts.rdev !== rdev) continue;
      return `${(await readFile(join("/proc", pid, "comm"), "utf8")).trim()} (process ${pid})`;
    }
  } catch {
    // Gone meanwhile, or another user's.
  }
  return undefined;
}
