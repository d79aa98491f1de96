import { randomUUID } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expectSuccess, run } from "./commands.ts";
import { makeFolder } from "./folder.ts";
import { expectAnswer, Person } from "./world.ts";

/** A unit of `hardshare service install`, under a name and on folders of its own, run by the systemd of this machine. */
export class SystemdUnit implements AsyncDisposable {
  readonly #name: string;
  readonly #folder: string;

  private constructor(name: string, folder: string) {
    this.#name = name;
    this.#folder = folder;
  }

  static async start(program: "server"): Promise<SystemdUnit> {
    const folder = await makeFolder("unit");
    const args = ["--data-dir", join(folder, program), "--port", "0"];
    const person = new Person(folder, "operator");
    const { stdout } = await expectAnswer(person.run(["service", "install", program, "--print", "--format", "json", "--", ...args]));
    const { unit } = JSON.parse(stdout) as { unit: string };
    const started = new SystemdUnit(`hardshare-test-${randomUUID()}.service`, folder);
    await writeFile(started.#file, unit);
    await expectSuccess("systemctl", ["daemon-reload"]);
    await expectSuccess("systemctl", ["start", started.#name]);
    return started;
  }

  async mainPid(): Promise<number> {
    return Number(await this.#show("MainPID"));
  }

  /** Kills the main process, and waits until systemd has started it again. */
  async crash(): Promise<void> {
    await expectSuccess("systemctl", ["kill", "--signal=KILL", "--kill-who=main", this.#name]);
    await expectSuccess("systemctl", ["start", this.#name]); // joins the start that systemd has planned already
  }

  async stop(): Promise<void> {
    await expectSuccess("systemctl", ["stop", this.#name]);
  }

  /** Ids of the processes that are left of it. */
  async processes(): Promise<string[]> {
    const group = await this.#show("ControlGroup");
    if (group === "") return [];
    const text = await readFile(`/sys/fs/cgroup${group}/cgroup.procs`, "utf8").catch(() => "");
    return text.split("\n").filter(Boolean);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("systemctl", ["stop", this.#name]);
    await rm(this.#file, { force: true });
    await run("systemctl", ["daemon-reload"]);
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #file(): string {
    return join("/run/systemd/system", this.#name);
  }

  async #show(property: string): Promise<string> {
    return (await expectSuccess("systemctl", ["show", "--value", `--property=${property}`, this.#name])).trim();
  }
}
