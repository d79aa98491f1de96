import { randomUUID } from "node:crypto";
import { access, mkdir, readFile, rmdir } from "node:fs/promises";
import { HARDSHARE } from "./commands.ts";
import type { Site } from "./site.ts";

/** Where systemd itself keeps the processes of units apart, by kernel and set-up; the first that is there. */
const HIERARCHIES = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/**
 * A program of a site under the unit that `hardshare service install` writes: does what systemd would (systemd.kill(5)),
 * to the processes that it would do it to, those of the unit's control group.
 */
export class Unit implements AsyncDisposable {
  readonly #site: Site;
  readonly #name: "server" | "hub" | "host";
  readonly #killMode: string;
  readonly #group: string;

  private constructor(site: Site, name: "server" | "hub" | "host", killMode: string, group: string) {
    this.#site = site;
    this.#name = name;
    this.#killMode = killMode;
    this.#group = group;
  }

  /** Puts a program of the site into a unit, from its next start on. */
  static async install(site: Site, name: "server" | "hub" | "host"): Promise<Unit> {
    const { unit } = await site.operator.json<{ unit: string }>("service", "install", name, "--print");
    const valueOf = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1] ?? "";
    // What is run here must be what the unit runs, and systemd must start it again after a crash.
    const verb = { server: "serve", hub: "hub", host: "ad" }[name];
    if (valueOf("ExecStart") !== `${process.execPath} ${HARDSHARE} ${verb}` || valueOf("Restart") !== "on-failure") throw new Error(unit);
    const group = `${await findHierarchy()}/hardshare-test-${randomUUID()}`;
    await mkdir(group);
    site.within[name] = ["sh", "-c", `echo $$ > ${group}/cgroup.procs && exec "$@"`, "sh"];
    return new Unit(site, name, valueOf("KillMode"), group);
  }

  /** `systemctl stop`: SIGTERM to the main process; `mixed` kills what is left in the group when that has ended. */
  async stop(): Promise<void> {
    if (this.#killMode === "control-group") await this.#killGroup("SIGTERM");
    await this.#site[this.#name].now.stop("SIGTERM");
    if (this.#killMode !== "process") await this.#killGroup("SIGKILL");
  }

  /** The main process crashes, and systemd clears up after it. It is for the caller to start it again. */
  async crash(): Promise<void> {
    await this.#site[this.#name].kill();
    if (this.#killMode !== "process") await this.#killGroup("SIGKILL");
  }

  /** Ids of the processes that are in the group now. */
  async processes(): Promise<number[]> {
    const text = await readFile(`${this.#group}/cgroup.procs`, "utf8");
    return text.split("\n").filter(Boolean).map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#killGroup("SIGKILL");
    await rmdir(this.#group).catch(() => {}); // a killed process may take a moment to leave
  }

  async #killGroup(signal: NodeJS.Signals): Promise<void> {
    for (const pid of await this.processes()) process.kill(pid, signal);
  }
}

async function findHierarchy(): Promise<string> {
  for (const folder of HIERARCHIES) {
    const isThere = await access(`${folder}/cgroup.procs`).then(
      () => true,
      () => false,
    );
    if (isThere) return folder;
  }
  throw new Error(`no control groups at ${HIERARCHIES.join(", ")}`);
}
