import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@hardshare/runtime";
import { generateIdentity } from "@hardshare/wire/ssh";
import type { CallOptions, ContainerFacts } from "../engine/engine.ts";
import { FakeEngine } from "../engine/fake-engine.ts";

/** The image that the contracts of tests name when they name none. */
export const TEST_IMAGE = "localhost/hardshare/generic";

/** Why there can be no `NamespaceEngine` here; undefined when there can. On CI nothing is left out. */
export function whyNoNamespaces(): string | undefined {
  if (process.env["CI"] !== undefined) return undefined;
  if (process.geteuid?.() !== 0) return "needs root";
  return existsSync("/usr/sbin/sshd") ? undefined : "needs openssh-server";
}

/**
 * The engine in memory, but each running container has a network namespace of its own with a real SSH server in it, so
 * that a real relay can enter. Needs root.
 */
export class NamespaceEngine extends FakeEngine {
  readonly #processes = new Map<string, ChildProcess>();
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
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "unshare", "--net", "--", "sh", "-c", `ip link set lo up; echo up; ${serve}`], {
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

  override async removeContainer(id: string, options?: CallOptions): Promise<void> {
    await super.removeContainer(id, options);
    const child = this.#processes.get(id);
    this.#processes.delete(id);
    child?.kill("SIGKILL");
  }

  /** Ends a container's SSH server, its first process. */
  crash(id: string): void {
    this.#processes.get(id)?.kill("SIGKILL");
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    // A daemon that ends leaves containers; the test ends them.
  }

  killAll(): void {
    for (const child of this.#processes.values()) child.kill("SIGKILL");
    this.#processes.clear();
  }
}
