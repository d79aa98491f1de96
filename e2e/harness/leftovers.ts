import { readdir, readFile, readlink } from "node:fs/promises";
import { expectSuccess } from "./commands.ts";

/** Ids of containers with a label of ours, running or not. @param dockerHost the Docker to ask instead of podman */
export async function containersWith(label: string, dockerHost?: string): Promise<string[]> {
  const asked = ["ps", "--all", "--quiet", "--filter", `label=${label}`];
  const text = await (dockerHost === undefined
    ? expectSuccess("podman", asked)
    : expectSuccess("docker", asked, { env: { DOCKER_HOST: dockerHost } }));
  return text.split("\n").filter((line) => line !== "");
}

/** Ids of podman's networks with a label of ours. */
export async function networksWith(label: string): Promise<string[]> {
  const text = await expectSuccess("podman", ["network", "ls", "--quiet", "--filter", `label=${label}`]);
  return text.split("\n").filter((line) => line !== "");
}

/**
 * Processes whose command line or environment contains a text, such as the folder of a test, as `pid command`. One that
 * was forked, and has not become another program yet, counts as its parent.
 */
export async function processesWith(text: string): Promise<string[]> {
  const found = new Map<string, { parent: string; command: string }>();
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const [command, environment, state] = await Promise.all([
      read(`/proc/${pid}/cmdline`),
      read(`/proc/${pid}/environ`),
      read(`/proc/${pid}/stat`),
    ]);
    const isZombie = /\) Z /.test(state);
    const parent = /.*\) \S (\d+)/s.exec(state)?.[1] ?? "";
    if (!isZombie && (command.includes(text) || environment.includes(text))) found.set(pid, { parent, command });
  }
  const own = [...found].filter(([, { parent, command }]) => found.get(parent)?.command !== command);
  return own.map(([pid, { command }]) => `${pid} ${command.replaceAll("\0", " ")}`);
}

/**
 * As `processesWith`, for the end of an instance: podman's watcher of a container that is gone already is given the time
 * to end too.
 */
export async function processesLeft(text: string): Promise<string[]> {
  for (const line of await processesWith(text)) if (/^\d+ \S*\bconmon /.test(line)) await untilEnded(line);
  return processesWith(text);
}

/** Ids of the processes that have a file open. */
export async function processesThatOpened(path: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const opened = await Promise.all(files.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
    if (opened.includes(path)) found.push(Number(pid));
  }
  return found;
}

/** Resolves when the processes that contain a text have ended; the kernel tells only parents, so `tail` watches them. */
export async function untilGone(text: string): Promise<void> {
  for (const line of await processesWith(text)) await untilEnded(line);
}

/** @param line of `processesWith` */
async function untilEnded(line: string): Promise<void> {
  await expectSuccess("tail", ["--follow", `--pid=${line.split(" ")[0]}`, "--sleep-interval=0.1", "/dev/null"]);
}

async function read(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
