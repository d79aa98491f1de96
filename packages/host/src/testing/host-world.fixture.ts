import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeploymentId, type DesiredInstance, type HostHello, InstanceId } from "@hardshare/protocol";
import { type Failpoints, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { controlSocket, daemonSocketFolder } from "../daemon/socket-place.ts";
import { type HostDaemon, type HostDaemonOptions, startHostDaemon } from "../daemon/host-daemon.ts";
import { initHost } from "../registration/init-host.ts";
import { TestServer } from "./test-server.fixture.ts";

/** Failpoints that a test sets: what happens when one is passed. */
class SettableFailpoints implements Failpoints {
  readonly passed: string[] = [];
  readonly actions = new Map<string, () => void | Promise<void>>();

  async pass(name: string): Promise<void> {
    this.passed.push(name);
    await this.actions.get(name)?.();
  }
}

/** A host with its folders, a server to talk to, and a daemon that can be started and stopped. */
export class HostWorld implements AsyncDisposable {
  readonly folder: string;
  readonly server: TestServer;
  readonly failpoints = new SettableFailpoints();
  readonly hostId = systemRandom.uuid();
  readonly user: string;
  daemon: HostDaemon | undefined;
  #epochs = new Map<string, number>();

  private constructor(folder: string, server: TestServer) {
    this.folder = folder;
    this.server = server;
    this.user = "bob";
  }

  /** @param contracts texts of contract files, one for each deployment */
  static async make(contracts: readonly string[]): Promise<{ world: HostWorld; deployments: DeploymentId[] }> {
    const folder = await mkdtemp(join(tmpdir(), "hs-host-"));
    const home = join(folder, "home");
    const { publicKey } = await initHost({ home });
    const world = new HostWorld(folder, await TestServer.start(publicKey));
    const deployments = contracts.map(() => DeploymentId.parse(systemRandom.uuid()));
    const list = deployments.map((id) => `  - id: ${id}\n`).join("");
    const config = `server: ${world.server.url}\nserver_key: ${world.server.identity.publicKey}\nhost: ${world.hostId}\ndeployments:\n${list}`;
    await writeFile(join(home, "config.yaml"), config);
    await mkdir(join(home, "deployments"), { recursive: true });
    for (const [index, id] of deployments.entries()) {
      await writeFile(world.contractFile(id), contracts[index] ?? "");
      world.server.desired.set(id, null);
    }
    return { world, deployments };
  }

  get home(): string {
    return join(this.folder, "home");
  }

  get state(): string {
    return join(this.folder, "state");
  }

  get socketFolder(): string {
    return daemonSocketFolder(this.state);
  }

  get controlSocket(): string {
    return controlSocket(this.state);
  }

  contractFile(id: DeploymentId): string {
    return join(this.home, "deployments", `${id}.yaml`);
  }

  /** Writes an executable script beside the contracts. */
  async script(name: string, body: string): Promise<void> {
    await writeFile(join(this.home, "deployments", name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  }

  async start(options: Partial<HostDaemonOptions> = {}): Promise<HostDaemon> {
    this.daemon = await startHostDaemon({
      home: this.home,
      state: this.state,
      selfCommand: [process.execPath, "-e", "process.exit(9)"],
      environment: { PATH: process.env["PATH"] },
      softwareVersion: "0.0.0",
      clock: systemClock,
      random: systemRandom,
      failpoints: this.failpoints,
      logger: silentLogger,
      ...options,
    });
    await this.daemon.ready;
    return this.daemon;
  }

  /** Wants a new instance of a deployment. */
  launch(deployment: DeploymentId, options: { forMs?: number; keys?: string[]; isTargetKnown?: boolean } = {}): DesiredInstance {
    const desired = this.newInstance(deployment, options);
    this.server.tell(deployment, desired);
    return desired;
  }

  /** An instance that is yet to be wanted. */
  newInstance(deployment: DeploymentId, options: { forMs?: number; keys?: string[]; isTargetKnown?: boolean } = {}): DesiredInstance {
    const epoch = (this.#epochs.get(deployment) ?? 0) + 1;
    this.#epochs.set(deployment, epoch);
    const instanceId = InstanceId.parse(systemRandom.uuid());
    return {
      instanceId,
      epoch,
      want: "run",
      user: this.user,
      deadline: new Date(Date.now() + (options.forMs ?? 600_000)).toISOString(),
      remainingMs: options.forMs ?? 600_000,
      publicKeys: options.keys ?? [],
      tunnel: options.isTargetKnown === false ? null : this.server.target(instanceId),
      lastSequence: 0,
    };
  }

  /** Settles once the daemon has taken over all that the server said: what it is told is answered in order. */
  async untilHeard(): Promise<void> {
    const unknown = DeploymentId.parse(systemRandom.uuid());
    const question = { ...this.newInstance(unknown), want: "end" as const };
    this.server.tell(unknown, question);
    await this.server.report(question.instanceId, "ended");
    this.server.desired.delete(unknown);
  }

  /** Wants an instance to end. */
  end(deployment: DeploymentId, instance: DesiredInstance, reason: DesiredInstance["reason"] = "user"): void {
    this.server.tell(deployment, { ...instance, want: "end", reason });
  }

  /** The description of a deployment in the newest hello. */
  described(deployment: DeploymentId): HostHello["deployments"][number] | undefined {
    return this.server.hellos.at(-1)?.deployments.find((each) => each.deploymentId === deployment);
  }

  /** Folders of sockets of instances. */
  async instanceFolders(): Promise<string[]> {
    return readdir(join(this.socketFolder, "i")).catch(() => []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon?.stop({ endInstances: true });
    await this.server[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
    await rm(this.socketFolder, { recursive: true, force: true });
  }
}
