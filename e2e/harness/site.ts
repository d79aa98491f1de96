import { readFile, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { RunningCommand } from "./commands.ts";
import { followEvents, type TimelineEvent } from "./events.ts";
import { makeFolder } from "./folder.ts";
import { HeldProgram } from "./held-program.ts";
import { lendDatabase } from "./lent-database.ts";
import { findFreePort } from "./network.ts";
import { Restartable } from "./restartable.ts";
import { USER_KEY } from "./user-key.ts";
import { Person } from "./world.ts";

/** An instance as the API shows it. */
export interface Launched {
  id: string;
  status: string;
  epoch: number;
  /** UTC, as `YYYY-MM-DD hh:mm:ss.ffffff`. */
  expires?: string;
  end_reason?: string;
  failed_step?: string;
  failed_log?: string;
  fwd?: { ipv4: string; port: number };
}

/** A deployment as the API shows it. */
export interface Shared {
  id: string;
  online: boolean;
  lockout?: boolean;
  resting?: { why: string; until: string | null };
  lockout_info?: { reason: string; actor: string };
}

export interface SiteOptions {
  /** More of the contract of the deployment, which is `proxy` with a public port unless this says otherwise. */
  contract?: string;
  /** More of its service, such as `tap: true`. */
  service?: string;
  /** Address at which the server and the hub listen. */
  address?: string;
  /** More arguments of `hardshare serve`. */
  serve?: readonly string[];
  /** Called before anything is started. */
  prepare?: (site: Site) => Promise<void>;
}

/** Server, hub, robot and one host, each a process on a folder of its own that a test kills and starts again. */
export class Site implements AsyncDisposable {
  readonly folder: string;
  readonly operator: Person;
  readonly server: Restartable<{ url: string; adminTokenFile: string }>;
  readonly hub: Restartable<{ id: string; sshPort: number }>;
  readonly host: Restartable<{ deployments: string[] }>;
  /** Programs of the contract. */
  readonly programs: Record<"init" | "terminate" | "safe_state", HeldProgram>;
  readonly #robot: RunningCommand<{ url: string }>;
  #owner: Person;
  /** What runs each program, such as `unshare …`: a test may move it to another computer between two starts. */
  readonly within: Record<"server" | "hub" | "host", readonly string[]> = { server: [], hub: [], host: [] };
  readonly #address: string;
  /** Of server and hub: nobody takes them while they are restarted. */
  readonly #port: number;
  readonly #sshPort: number;
  #deployment = "";

  private constructor(
    folder: string,
    programs: Site["programs"],
    ports: [server: number, hub: number],
    { address = "127.0.0.1", serve = [] }: SiteOptions,
  ) {
    this.folder = folder;
    [this.#port, this.#sshPort] = ports;
    this.#address = address;
    this.programs = programs;
    this.operator = new Person(folder, "operator");
    this.#owner = new Person(folder, "owner");
    this.#robot = this.operator.start("sim");
    const { env } = this.operator;
    this.server = new Restartable(
      () =>
        new RunningCommand(["serve", "--data-dir", this.serverFolder, "--host", address, "--port", String(this.#port), ...serve], env, {
          within: this.within.server,
        }),
    );
    const hubArgs = [
      "hub",
      "--data-dir",
      join(folder, "hub"),
      "--ssh-port",
      String(this.#sshPort),
      "--bind",
      address,
      "--public-host",
      address,
    ];
    let isRegistered = false;
    this.hub = new Restartable(() => {
      const at = isRegistered ? ["--server", this.url] : this.#at;
      isRegistered = true;
      return new RunningCommand([...hubArgs, ...at], env, { within: this.within.hub });
    });
    this.host = new Restartable(() => new RunningCommand(["ad"], this.owner.env, { within: this.within.host }));
  }

  static async build(options: SiteOptions = {}): Promise<Site> {
    const folder = await makeFolder("site");
    const makeProgram = (name: string) => HeldProgram.make(folder, name);
    const programs = {
      init: await makeProgram("init"),
      terminate: await makeProgram("terminate"),
      safe_state: await makeProgram("safe-state"),
    };
    const site = new Site(folder, programs, [await findFreePort(), await findFreePort()], options);
    try {
      await options.prepare?.(site);
      await site.#begin(options.contract ?? "provider: proxy\npublic_port: true\n", options.service);
      return site;
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #begin(contract: string, service?: string): Promise<void> {
    await lendDatabase(this.serverFolder);
    const { adminTokenFile } = await this.server.start().ready;
    const token = (await readFile(adminTokenFile, "utf8")).trim();
    this.#owner = new Person(this.folder, "owner", token);
    await this.owner.prepare("login", ...this.#at);
    const hub = this.hub.start().ready;
    const device = new URL((await this.#robot.ready).url).host;
    await writeFile(this.rulesFile, "default: allow\nrules: []\n");
    const file = join(this.folder, "contract.yaml");
    const more = service === undefined ? "" : `, ${service}`;
    const services = `services: [{ name: ROBOT, filter: http, target: "${device}", rules: ${this.rulesFile}${more} }]\n`;
    const programs = Object.entries(this.programs).map(([event, { path }]) => `${event}: [${path}]\n`);
    await writeFile(file, [contract, services, ...programs].join(""));
    this.#deployment = (await this.owner.prepare<{ id: string }>("register", "--contract", file)).id;
    await hub;
    await this.host.start().ready;
  }

  get owner(): Person {
    return this.#owner;
  }

  get deployment(): string {
    return this.#deployment;
  }

  /** The rules of the filter before the robot; they allow everything at first. */
  get rulesFile(): string {
    return join(this.folder, "rules.yaml");
  }

  get url(): string {
    return `http://${this.#address}:${this.#port}`;
  }

  get serverFolder(): string {
    return join(this.folder, "server");
  }

  /** How a command is told of the server. */
  get #at(): string[] {
    return ["--server", this.url, "--token-file", join(this.serverFolder, "admin.token")];
  }

  /** Resolves when host and hub have connected to the server once more. Call it before what makes them. */
  async untilPeersBack(): Promise<void> {
    await Promise.all([this.untilPeerBack("host"), this.untilPeerBack("hub")]);
  }

  async untilPeerBack(peer: "host" | "hub"): Promise<void> {
    await this[peer].now.untilLog(/"message":"connected to the server"/);
  }

  /** Launches, without waiting. */
  async launch(options: { expire_d?: number } = {}): Promise<Launched> {
    const { id } = await this.ask<{ id: string }>("POST", `/new/${this.deployment}`, { sshkey: USER_KEY, ...options });
    return this.instance(id);
  }

  async launchReady(): Promise<Launched> {
    const { id } = await this.launch();
    await this.untilState(id, "READY");
    return this.instance(id);
  }

  /** Ends an instance, and waits until nothing is left of it. */
  async end({ id }: Pick<Launched, "id">): Promise<void> {
    await this.ask("POST", `/terminate/${id}`);
    await this.untilState(id, "TERMINATED");
  }

  instance(id: string): Promise<Launched> {
    return this.ask<Launched>("GET", `/instance/${id}`);
  }

  shared(): Promise<Shared> {
    return this.ask<Shared>("GET", `/deployment/${this.deployment}`);
  }

  /** One request of the owner to the API. @throws when the answer is an error, with its status and body */
  async ask<Answer>(method: "GET" | "POST", path: string, body?: object): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.owner.token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status} ${text}`);
    return (text === "" ? undefined : JSON.parse(text)) as Answer;
  }

  /** Follows an instance's timeline until it is in this state. @returns all of it so far @throws when it ends otherwise */
  async untilState(instance: string, state: string): Promise<TimelineEvent[]> {
    const isIt = ({ kind, data }: TimelineEvent) => kind === "state" && data["state"] === state;
    const events = await followEvents(this.url, this.owner, instance, isIt);
    if (!events.some(isIt)) throw new Error(`it never was ${state}: ${JSON.stringify(events.at(-1))}`);
    return events;
  }

  /** Connects to the instance's public port. @returns the first line that it says, such as that of an SSH server */
  async greet({ fwd }: Launched): Promise<string> {
    if (fwd === undefined) throw new Error("the instance has no public port");
    const socket = connect(fwd.port, fwd.ipv4);
    try {
      const [line] = (await once(socket, "data")) as [Buffer];
      return line.toString().trim();
    } finally {
      socket.destroy();
    }
  }

  /** Asks the robot something through the instance's public port. @returns the HTTP status */
  async reach({ fwd }: Launched): Promise<number> {
    if (fwd === undefined) throw new Error("the instance has no public port");
    const response = await fetch(`http://${fwd.ipv4}:${fwd.port}/api/battery`, { headers: { connection: "close" } });
    await response.arrayBuffer();
    return response.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A host that ends tells the server of its instances, and waits for its word.
    for (const program of [this.host, this.hub, this.server]) await program[Symbol.asyncDispose]();
    await this.#robot.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}
