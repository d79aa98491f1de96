import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HardshareClient } from "@hardshare/client";
import { runHere } from "../../packages/cli/src/testing.ts";
import { cleanEnvironment, type CommandResult, expectSuccess, HARDSHARE, run, RunningCommand } from "./commands.ts";
import { makeFolder } from "./folder.ts";
import { lendDatabase } from "./lent-database.ts";

/** What `hardshare up --format json` prints when all is ready. */
export interface UpReady {
  url: string;
  user: string;
  token: string;
  deployments: { id: string; type: string; provider: string }[];
  hub: { host: string; sshPort: number; hostKey: string };
  robot: { url: string };
}

const HIDE_PODMAN = 'mount --bind /dev/null "$(command -v podman)" && exec "$@"';
const WITHOUT_PODMAN = ["unshare", "--mount", "sh", "-c", HIDE_PODMAN, "sh"];

interface UpOptions {
  env?: Record<string, string>;
  format?: "table";
  within?: readonly string[];
}

/** One person (or host computer) with folders of its own, who uses the command `hardshare`. */
export class Person {
  readonly name: string;
  readonly home: string;
  readonly token: string;
  readonly env: Record<string, string>;

  constructor(folder: string, name: string, token = "", home = name) {
    this.name = name;
    this.token = token;
    this.home = join(folder, home);
    this.env = { HOME: this.home, HARDSHARE_HOME: join(this.home, "config"), HARDSHARE_STATE: join(this.home, "state") };
  }

  /** Runs `hardshare …` to its end. */
  run(
    args: readonly string[],
    options: { input?: string; signal?: AbortSignal; env?: Record<string, string> } = {},
  ): Promise<CommandResult> {
    return run(process.execPath, [HARDSHARE, ...args], { ...options, env: { ...options.env, ...this.env } });
  }

  /**
   * Runs `hardshare … --format json` in this process, for what only prepares a test: the same program, without the third of
   * a second that a start of Node takes. Expects success. @returns what it printed
   */
  async prepare<Answer>(...args: string[]): Promise<Answer> {
    const user = { uid: process.getuid?.() ?? -1, home: this.home };
    const { exitCode, stdout, stderr } = await runHere([...args, "--format", "json"], cleanEnvironment(this.env), user);
    if (exitCode !== 0) throw new Error(`hardshare ${args.join(" ")} ended with ${exitCode}\n${stdout}\n${stderr}`);
    return JSON.parse(stdout) as Answer;
  }

  /** Runs `hardshare … --format json`, expects success and parses what it printed. */
  async json<Answer>(...args: string[]): Promise<Answer> {
    return JSON.parse(await expectSuccess(process.execPath, [HARDSHARE, ...args, "--format", "json"], { env: this.env })) as Answer;
  }

  start<Ready>(...args: string[]): RunningCommand<Ready> {
    return new RunningCommand<Ready>(args, this.env);
  }

  /** The same on a computer without podman: nothing but its program is hidden, from this command and what it starts. */
  startWithoutPodman<Ready>(...args: string[]): RunningCommand<Ready> {
    return new RunningCommand<Ready>(args, this.env, { within: WITHOUT_PODMAN });
  }
}

/** `hardshare up` on a data folder of its own, with people around it. */
export class World implements AsyncDisposable {
  readonly folder: string;
  readonly dataFolder: string;
  up: RunningCommand<UpReady>;
  #ready: UpReady | undefined;

  private constructor(folder: string, options: UpOptions = {}) {
    this.folder = folder;
    this.dataFolder = join(folder, "up");
    this.up = this.#launch([], options);
  }

  /** @param env more of the environment of `up` and its programs */
  static async create(env: Record<string, string> = {}): Promise<World> {
    return World.#createIn(await makeFolder("e2e"), { env });
  }

  /** The same on a computer that never had one: it makes its database, too. */
  static async createFromNothing(): Promise<World> {
    const world = new World(await makeFolder("e2e"));
    await world.untilReady();
    return world;
  }

  /** The same on a computer without podman, whose Docker listens there. @param host as DOCKER_HOST says it */
  static async createWithDocker(host: string): Promise<World> {
    return World.#createIn(await makeFolder("e2e"), { env: { DOCKER_HOST: host }, within: WITHOUT_PODMAN });
  }

  static async #createIn(folder: string, options: UpOptions): Promise<World> {
    await lendDatabase(join(folder, "up", "server"));
    const world = new World(folder, options);
    await world.untilReady();
    return world;
  }

  /** One whose `up` speaks to people, and is not ready yet. */
  static async createForPeople(): Promise<World> {
    return new World(await makeFolder("e2e"), { format: "table" });
  }

  get ready(): UpReady {
    if (this.#ready === undefined) throw new Error("not ready yet");
    return this.#ready;
  }

  async untilReady(): Promise<UpReady> {
    this.#ready = await this.up.ready;
    return this.#ready;
  }

  /** Starts `up` again on the same data folder. */
  async restart(args: string[] = []): Promise<UpReady> {
    this.up = this.#launch(args);
    return this.untilReady();
  }

  deployment(provider: "podman" | "docker" | "proxy"): string {
    const found = this.ready.deployments.find((deployment) => deployment.provider === provider);
    if (found === undefined) throw new Error(`no ${provider} deployment: ${JSON.stringify(this.ready.deployments)}`);
    return found.id;
  }

  /** The administrator, logged in. @param home name of the home folder */
  async admin(home = "admin"): Promise<Person> {
    return this.#person("admin", this.ready.token, home);
  }

  /** A new user, logged in. */
  async user(name: string): Promise<Person> {
    const admin = new HardshareClient({ url: this.ready.url, token: this.ready.token });
    await admin.addUser(name);
    const { token } = await admin.issueToken({ user: name });
    return this.#person(name, token);
  }

  async #person(name: string, token: string, home = name): Promise<Person> {
    const person = new Person(this.folder, name, token, home);
    const tokenFile = join(this.folder, `${name}.token`);
    await writeFile(tokenFile, token, { mode: 0o600 });
    await person.prepare("login", "--server", this.ready.url, "--token-file", tokenFile);
    return person;
  }

  #launch(args: string[], { env, ...options }: UpOptions = {}): RunningCommand<UpReady> {
    const whole = { ...env, HOME: join(this.folder, "home") };
    return new RunningCommand<UpReady>(["up", "--data-dir", this.dataFolder, "--port", "0", ...args], whole, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.up.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Expects exit code 0. */
export async function expectAnswer(result: Promise<CommandResult>): Promise<CommandResult> {
  const { code, stdout, stderr } = await result;
  if (code !== 0) throw new Error(`ended with ${code}\n${stdout}\n${stderr}`);
  return { code, stdout, stderr };
}
