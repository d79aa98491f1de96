import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunningCommand } from "./commands.ts";
import type { Person } from "./world.ts";

/** A second host computer with a configuration of its own, as an owner sets it up. */
export class OwnHost implements AsyncDisposable {
  readonly owner: Person;
  #daemon: RunningCommand<{ deployments: string[] }> | undefined;

  constructor(owner: Person) {
    this.owner = owner;
  }

  /** Registers a deployment with this contract. @returns its id */
  async share(contract: string): Promise<string> {
    const file = join(this.owner.home, `contract-${randomUUID()}.yaml`);
    await writeFile(file, contract);
    const { id } = await this.owner.prepare<{ id: string }>("register", "--permit-more", "--contract", file);
    return id;
  }

  async advertise(...ids: string[]): Promise<void> {
    this.#daemon = this.owner.start("ad", ...ids);
    await this.#daemon.ready;
  }

  get daemon(): RunningCommand<{ deployments: string[] }> {
    if (this.#daemon === undefined) throw new Error("not advertising");
    return this.#daemon;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon?.stop();
  }
}
