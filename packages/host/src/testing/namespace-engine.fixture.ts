import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import { signalGroup, systemClock } from "@hardshare/runtime";
import { generateIdentity } from "@hardshare/wire/ssh";
import { orAborted, runLimited } from "../engine/call-limits.ts";
import type { CallOptions, ContainerFacts, ContainerFile, ExecOptions } from "../engine/engine.ts";
import { FakeEngine } from "../engine/fake-engine.ts";

/** The image that the contracts of tests name when they name none. */
export const TEST_IMAGE = "localhost/hardshare/generic";

/** Exit code of a process that was ended by SIGKILL: 128 + 9. */
const KILLED = 137;

/** Why there can be no `NamespaceEngine` here; undefined when there can. On CI nothing is left out. */
export function whyNoNamespaces(): string | undefined {
  if (process.env["CI"] !== undefined) return undefined;
  if (process.geteuid?.() !== 0) return "needs root";
  return existsSync("/usr/sbin/sshd") ? undefined : "needs openssh-server";
}

/**
 * The engine in memory, but each running container has namespaces of its own for network and processes, with a real SSH
 * server in it, so that a real relay can enter; a program that was put into it is run there. Needs root.
 */
export class NamespaceEngine extends FakeEngine {
  readonly #processes = new Map<string, ChildProcess>();
  /** Container and path of each program that was put into one. */
  readonly #programs = new Set<string>();
  readonly #folder: string;
  /** SSH host key of every container. */
  readonly hostKey = generateIdentity("").publicKey;
  /** Whether containers answer on their SSH port. */
  hasSshServer = true;

  constructor(folder: string) {
    super({ clock: systemClock, images: { [TEST_IMAGE]: { id: "i", labels: {}, command: ["sleep", "100000"] } }, devices: ["/dev/null"] });
    this.#folder = folder;
    const identity = generateIdentity("");
    this.hostKey = identity.publicKey;
    writeFileSync(join(folder, "host-key"), identity.privateKey, { mode: 0o600 });
    writeFileSync(join(folder, "sshd.conf"), `HostKey ${join(folder, "host-key")}\nPidFile none\nUsePAM no\nStrictModes no\n`);
    mkdirSync("/run/sshd", { recursive: true });
  }

  override async startContainer(id: string, options?: CallOptions): Promise<void> {
    await super.startContainer(id, options);
    const serve = this.hasSshServer ? `exec /usr/sbin/sshd -D -e -f ${join(this.#folder, "sshd.conf")}` : "exec sleep 100000";
    const apart = ["--pdeathsig", "KILL", "unshare", "--net", "--pid", "--fork", "--kill-child=KILL"];
    const child = spawn("setpriv", [...apart, "--", "sh", "-c", `ip link set lo up; echo up; ${serve}`], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    this.#processes.set(id, child);
    child.once("exit", (code) => {
      if (this.#processes.delete(id)) this.endContainer(id, code ?? 137);
    });
    await once(child.stdout ?? child, "data"); // its namespace is made
  }

  override async inspectContainer(id: string, options?: CallOptions): Promise<ContainerFacts> {
    const facts = await super.inspectContainer(id, options);
    return facts.isRunning ? { ...facts, pid: this.#processes.get(id)?.pid } : facts;
  }

  override async putFiles(id: string, folder: string, files: readonly ContainerFile[], options?: CallOptions): Promise<void> {
    await super.putFiles(id, folder, files, options);
    await mkdir(this.#inside(id), { recursive: true });
    for (const { path, mode, content } of files) {
      if ((mode & 0o111) === 0 || content === undefined) continue;
      await writeFile(join(this.#inside(id), basename(path)), content, { mode });
      this.#programs.add(`${id} ${posix.join(folder, path)}`);
    }
  }

  override async exec(id: string, argv: readonly string[], options: ExecOptions = {}): Promise<number> {
    const [program = "", ...args] = argv;
    const container = this.#processes.get(id)?.pid;
    if (container === undefined || !this.#programs.has(`${id} ${program}`)) return super.exec(id, argv, options);
    // Its environment is none of this computer's programs', by which those of an instance are found.
    const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`);
    const enter = ["-t", String(firstProcess(container)), "--net", "--pid", "--", "env", ...env];
    const child = spawn("nsenter", [...enter, join(this.#inside(id), basename(program)), ...args], {
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.on("data", (chunk: Buffer) => options.onOutput?.(chunk, "stdout"));
    child.stderr.on("data", (chunk: Buffer) => options.onOutput?.(chunk, "stderr"));
    const ended = once(child, "exit");
    try {
      await runLimited(`run ${program}`, options, (signal) => orAborted(ended, signal));
    } catch (error) {
      if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
      throw error;
    }
    return child.exitCode ?? KILLED;
  }

  override async removeContainer(id: string, options?: CallOptions): Promise<void> {
    await super.removeContainer(id, options);
    const child = this.#processes.get(id);
    this.#processes.delete(id);
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      // Whose end is told once all others of its namespace have ended.
      process.kill(firstProcess(child.pid), "SIGKILL");
      await ended;
    }
    await rm(this.#inside(id), { recursive: true, force: true });
  }

  /** Ends a container's SSH server, its first process. */
  crash(id: string): void {
    this.#processes.get(id)?.kill("SIGKILL");
  }

  /** Where the programs lie that were put into a container. */
  #inside(id: string): string {
    return join(this.#folder, `inside-${id}`);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    // A daemon that ends leaves containers; the test ends them.
  }

  killAll(): void {
    for (const child of this.#processes.values()) child.kill("SIGKILL");
    this.#processes.clear();
  }
}

/** The one child of `unshare`, which is the first process of its namespace, as this computer numbers it. */
function firstProcess(unsharePid: number): number {
  return Number(readFileSync(`/proc/${unsharePid}/task/${unsharePid}/children`, "utf8").trim());
}
