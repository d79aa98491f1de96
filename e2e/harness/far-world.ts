import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RunningCommand } from "./commands.ts";
import { makeFolder } from "./folder.ts";
import { lendDatabase } from "./lent-database.ts";
import { Person } from "./world.ts";

/** Where something runs: its own address, and what runs a command there. */
export interface Place {
  address: string;
  within?: readonly string[];
}

/** A server on this computer, with an operator and with an owner whose host and hubs may run elsewhere. */
export class FarWorld implements AsyncDisposable {
  readonly folder: string;
  readonly server: RunningCommand<{ url: string; adminTokenFile: string }>;
  readonly operator: Person;
  readonly owner: Person;
  /** Without a container: its robot's port is of the computer that the host runs on. */
  readonly deployment: string;
  readonly url: string;
  /** File with the owner's token. */
  readonly tokenFile: string;
  readonly #at: string[];

  private constructor(
    world: Pick<FarWorld, "folder" | "server" | "operator" | "owner" | "deployment" | "url" | "tokenFile">,
    at: string[],
  ) {
    this.folder = world.folder;
    this.server = world.server;
    this.operator = world.operator;
    this.owner = world.owner;
    this.deployment = world.deployment;
    this.url = world.url;
    this.tokenFile = world.tokenFile;
    this.#at = at;
  }

  /** @param address of the server on this computer @param robotPort of what the deployment gives access to, on its host's 127.0.0.1 */
  static async create(address: string, robotPort = 9): Promise<FarWorld> {
    const folder = await makeFolder("far");
    const operator = new Person(folder, "operator");
    const owner = new Person(folder, "owner");
    await lendDatabase(join(folder, "server"));
    const args = ["serve", "--data-dir", join(folder, "server"), "--host", address, "--port", "0"];
    const server = new RunningCommand<{ url: string; adminTokenFile: string }>(args, operator.env);
    const { url, adminTokenFile } = await server.ready;
    const at = ["--server", url, "--token-file", adminTokenFile];
    await owner.prepare("login", ...at);
    const contract = join(folder, "contract.yaml");
    await writeFile(join(folder, "rules.yaml"), "default: allow\nrules: []\n");
    const robot = `services: [{ name: ROBOT, filter: http, target: "127.0.0.1:${robotPort}", rules: ${join(folder, "rules.yaml")} }]`;
    await writeFile(contract, `provider: proxy\nprobe: none\n${robot}\n`);
    const { id: deployment } = await owner.prepare<{ id: string }>("register", "--contract", contract);
    return new FarWorld({ folder, server, operator, owner, deployment, url, tokenFile: adminTokenFile }, at);
  }

  async isOnline(): Promise<boolean> {
    return (await this.owner.json<{ online: boolean }>("info", this.deployment)).online;
  }

  startHost({ within }: Pick<Place, "within">): RunningCommand<{ deployments: string[] }> {
    return new RunningCommand(["ad"], this.owner.env, { within });
  }

  /** A hub of the operator's, with keys and a registration of its own by its name. */
  startHub(name: string, { address, within }: Place): RunningCommand<unknown> {
    const where = ["--ssh-port", "0", "--bind", address, "--public-host", address];
    return new RunningCommand(["hub", "--data-dir", join(this.folder, name), "--name", name, ...where, ...this.#at], this.operator.env, {
      within,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** When a line of a program's log was written. */
export function loggedAtMs(line: string): number {
  const { time } = JSON.parse(line) as { time: string | number };
  return new Date(time).getTime();
}
