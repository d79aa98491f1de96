/** Which processes take how much processor time, from /proc (proc(5)). */
import { readdirSync, readFileSync } from "node:fs";

export interface Program {
  name: string;
  pid: number;
}

/** sysconf(_SC_CLK_TCK) on Linux. */
const MS_PER_TICK = 10;

/** Processes whose chain of parents leads to `ancestor`, with their arguments. */
export function descendantsOf(ancestor: number): { pid: number; args: string[] }[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    const parent = /^\d+$/.test(entry) ? fieldsOf(Number(entry))?.[1] : undefined;
    if (parent !== undefined) parents.set(Number(entry), Number(parent));
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === ancestor || isBelow(parent));
  };
  return [...parents.keys()].filter(isBelow).map((pid) => ({ pid, args: argumentsOf(pid) }));
}

/** Milliseconds that a process has computed so far, itself and in the system; 0 when it has ended. */
export function processorMs(pid: number): number {
  const fields = fieldsOf(pid);
  return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** Fields of /proc/PID/stat from the third on: state, parent, … */
function fieldsOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined; // it has ended
  }
}

function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [];
  }
}
