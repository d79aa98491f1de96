import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runProgram } from "@hardshare/runtime";

/** Where Debian's docker.io has it. */
const DOCKERD = "/usr/sbin/dockerd";
/** What dockerd logs once it listens. */
const LISTENS = /API listen on/;
const MAX_LAST_LINES = 5;

/** Why no dockerd can run here; undefined when one may. */
export function whyNoDocker(): string | undefined {
  if (process.geteuid?.() !== 0) return "needs root";
  return existsSync(DOCKERD) ? undefined : "needs docker.io";
}

/** A Docker of its own: data, sockets, process ids and settings in one folder, and no bridge or packet rule of this machine. */
export class TestDocker implements AsyncDisposable {
  readonly #folder: string;
  #child: ChildProcess;

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder;
    this.#child = child;
  }

  /** Resolves when it listens; rejects with its last words when it ends instead. */
  static async start(): Promise<TestDocker> {
    const folder = await mkdtemp(join(tmpdir(), "hs-docker-"));
    await writeFile(join(folder, "daemon.json"), "{}"); // not the machine's, which may say other things than its options
    try {
      return new TestDocker(folder, await launch(folder));
    } catch (error) {
      await removeFolder(folder);
      throw error;
    }
  }

  /** Where it listens, as DOCKER_HOST says it. */
  get host(): string {
    return `unix://${join(this.#folder, "docker.sock")}`;
  }

  /** Ends it, which ends its containers. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await ended;
  }

  /** Starts it again, with all that it had. */
  async startAgain(): Promise<void> {
    this.#child = await launch(this.#folder);
  }

  /** Removes it with all that it made. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await removeFolder(this.#folder);
  }
}

async function launch(folder: string): Promise<ChildProcess> {
  const places = { "config-file": "daemon.json", "data-root": "data", "exec-root": "exec", pidfile: "pid" };
  const args = Object.entries(places).map(([option, name]) => `--${option}=${join(folder, name)}`);
  const isolation = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
  // It ends with the test run, even when that is killed, and takes its containers with it.
  const command = ["--pdeathsig", "SIGTERM", DOCKERD, `--host=unix://${join(folder, "docker.sock")}`, ...args, ...isolation];
  const child = spawn("setpriv", command, { stdio: ["ignore", "ignore", "pipe"], detached: true });
  const lastLines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => reject(new Error(`dockerd ended: ${lastLines.join("\n")}`)));
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (lastLines.push(line) > MAX_LAST_LINES) lastLines.shift();
      if (LISTENS.test(line)) resolve();
    });
  });
  return child;
}

/** What it mounted goes with it, except what was in use at that moment. */
async function removeFolder(folder: string): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" ")[1] ?? "");
  const inside = mounts.filter((path) => path.startsWith(`${folder}/`)).toReversed();
  if (inside.length > 0) await runProgram("umount", ["--lazy", ...inside]);
  await rm(folder, { recursive: true, force: true });
}
