/** P19: what the host daemon takes while nothing happens. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { figuresOf, type Race, type RaceContext, type Row } from "./race.ts";

const SECONDS = 30;

export const atRest: Race = {
  ids: ["P19"],
  async run({ world, isShort }: RaceContext): Promise<Row[]> {
    const pid = await findDaemon(world.up.pid);
    const ticksPerSecond = Number((await promisify(execFile)("getconf", ["CLK_TCK"])).stdout);
    const before = await cpuTicks(pid);
    const startedAt = performance.now();
    await pause((isShort ? 2 : SECONDS) * 1000); // this is a measurement of rest, not a wait for something
    const share = (((await cpuTicks(pid)) - before) / ticksPerSecond / ((performance.now() - startedAt) / 1000)) * 100;
    const rss = await residentMegabytes(pid);
    return [
      {
        race: "P19",
        what: "host daemon at rest, memory",
        unit: "MB",
        ours: figuresOf([rss]),
        peer: null,
        target: "<= 90 MB",
        isReached: rss <= 90,
      },
      {
        race: "P19",
        what: "host daemon at rest, one core",
        unit: "%",
        ours: figuresOf([share]),
        peer: null,
        target: "<= 1 %",
        isReached: share <= 1,
      },
    ];
  },
};

/** The child of `up` that is `hardshare ad` (proc_pid_task_children(5)). */
async function findDaemon(upPid: number): Promise<number> {
  const children = (await readFile(`/proc/${upPid}/task/${upPid}/children`, "utf8")).trim().split(" ");
  for (const pid of children) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
    if (words.includes("ad")) return Number(pid);
  }
  throw new Error("`hardshare up` runs no host daemon");
}

/** Time in user and kernel mode, in clock ticks (proc_pid_stat(5), fields 14 and 15). */
async function cpuTicks(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return (Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1e6;
}
