import { createHash } from "node:crypto";
import { access, constants, readFile, stat } from "node:fs/promises";
import { release } from "node:os";
import { delimiter, join } from "node:path";
import { readTextIfThere } from "@hardshare/runtime";

/** How control groups are mounted: version 2 alone, version 1 with version 2 beside it, or version 1 alone. */
type CgroupLayout = "v2" | "hybrid" | "v1";

/** What this machine is like, as far as podman cares. */
export interface PodmanFacts {
  /** Paths of programs; undefined where there is none. */
  podman: string | undefined;
  crun: string | undefined;
  runc: string | undefined;
  isRoot: boolean;
  /** CAP_SYS_RESOURCE: may raise its hard limits. */
  canRaiseLimits: boolean;
  /** Hard limits that podman has when started by this process; Infinity for none. */
  maxOpenFiles: number;
  /** At most kernel.pid_max: podman lowers its own limit to that when it starts (tried: 4.3). */
  maxProcesses: number;
  cgroupLayout: CgroupLayout;
  /** Changes with the programs and the kernel: what was tried before holds as long as it is the same. */
  fingerprint: string;
}

/** linux/capability.h */
const CAP_SYS_RESOURCE = 24n;
/** Where Debian puts them, which is not in everybody's PATH. */
const PROGRAM_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** @param searchPath the PATH variable */
export async function gatherPodmanFacts(searchPath: string | undefined): Promise<PodmanFacts> {
  const [podman, crun, runc] = await Promise.all(["podman", "crun", "runc"].map((name) => findProgram(name, searchPath)));
  const [status = "", limits = "", mounts = "", pidMax = ""] = await Promise.all(
    ["/proc/self/status", "/proc/self/limits", "/proc/self/mounts", "/proc/sys/kernel/pid_max"].map((path) => readFile(path, "utf8")),
  );
  const facts = {
    podman,
    crun,
    runc,
    isRoot: process.geteuid?.() === 0,
    canRaiseLimits: hasCapability(status, CAP_SYS_RESOURCE),
    maxOpenFiles: hardLimit(limits, "Max open files"),
    maxProcesses: Math.min(hardLimit(limits, "Max processes"), Number(pidMax)),
    cgroupLayout: await cgroupLayout(mounts),
  };
  const versions = await Promise.all([podman, crun, runc].map(describeFile));
  const fingerprint = createHash("sha256")
    .update(JSON.stringify([facts, versions, release()], (_name, value: unknown) => (value === Infinity ? "unlimited" : value)))
    .digest("hex");
  return { ...facts, fingerprint };
}

/** The program's path in PATH or one of the usual folders. */
export async function findProgram(name: string, searchPath: string | undefined): Promise<string | undefined> {
  for (const folder of [...(searchPath ?? "").split(delimiter), ...PROGRAM_FOLDERS]) {
    if (!folder.startsWith("/")) continue;
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

/** @param status the content of /proc/self/status */
export function hasCapability(status: string, capability: bigint): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> capability) & 1n) === 1n;
}

/** @param limits the content of /proc/self/limits: name, soft limit, hard limit, unit */
export function hardLimit(limits: string, name: string): number {
  const line = limits.split("\n").find((line) => line.startsWith(name)) ?? "";
  const [, hard] = line.slice(name.length).trim().split(/\s+/);
  return hard === undefined || hard === "unlimited" ? Infinity : Number(hard);
}

/**
 * A second version 2 hierarchy without controllers beside version 1 (systemd's "hybrid") is used by nothing, so it
 * counts as version 1.
 * @param mounts the content of /proc/self/mounts
 */
async function cgroupLayout(mounts: string): Promise<CgroupLayout> {
  const mounted = mounts.split("\n").map((line) => line.split(" "));
  const unified = mounted.find(([, , type]) => type === "cgroup2")?.[1];
  if (!mounted.some(([, , type]) => type === "cgroup")) return "v2";
  if (unified === undefined) return "v1";
  const controllers = await readTextIfThere(join(unified, "cgroup.controllers"));
  return (controllers ?? "").trim() === "" ? "v1" : "hybrid";
}

async function describeFile(path: string | undefined): Promise<string> {
  if (path === undefined) return "none";
  const { size, mtimeMs } = await stat(path);
  return `${path} ${size} ${mtimeMs}`;
}
