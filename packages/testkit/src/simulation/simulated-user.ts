import type { Duplex } from "node:stream";
import type { DeploymentId, InstanceId } from "@hardshare/protocol";
import { AppError } from "@hardshare/protocol";
import { pause } from "@hardshare/runtime";
import { identityOf } from "./identities.ts";
import { Computer, type SimulatedProcess } from "./simulated-process.ts";
import type { SimulatedServer } from "./simulated-server.ts";
import type { SimulatedWorld } from "./simulated-world.ts";
import { StreamTable } from "./stream-table.ts";

const USER_KEY = 2;
/** How long a request may take before the user gives it up. */
const REQUEST_TIMEOUT_MS = 20_000;

/** A launch that the server has acknowledged. */
export interface AcknowledgedLaunch {
  instanceId: InstanceId;
  deploymentId: DeploymentId;
  atMs: number;
}

/** Somebody who launches, works for a while, and ends or forgets the instance. Uses the account of the owner. */
export class SimulatedUser {
  readonly acknowledged: AcknowledgedLaunch[] = [];
  readonly #world: SimulatedWorld;
  readonly #process: SimulatedProcess;
  readonly computer: Computer;
  readonly #stop = new AbortController();

  constructor(name: string, world: SimulatedWorld) {
    this.#world = world;
    this.computer = new Computer(name);
    this.#process = world.newProcess(name, this.computer);
  }

  /** Launches again and again until it is told to stop. */
  async work(): Promise<void> {
    const { random, clock } = this.#process;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await pause(clock, random.between(50, 4000), signal);
      if (signal.aborted) return;
      const launched = await this.launch(random.pick(this.#world.deployments), random.between(2, 25));
      if (launched === undefined) continue;
      const leaving = new AbortController();
      void this.act(launched.instanceId, leaving.signal);
      await pause(clock, random.between(100, 15_000), signal);
      if (random.chance(0.15)) {
        await this.estop(launched);
        await pause(clock, random.between(0, 5000), signal);
        if (random.chance(0.8)) await this.unlock(launched.deploymentId);
      }
      leaving.abort();
      if (random.chance(0.6)) await this.terminate(launched.instanceId);
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  /** @returns undefined when it was refused, or no answer came */
  async launch(deploymentId: DeploymentId, forSeconds: number): Promise<AcknowledgedLaunch | undefined> {
    const request = {
      target: { kind: "deployments" as const, ids: [deploymentId] },
      requestedS: Math.ceil(forSeconds),
      publicKey: identityOf(USER_KEY).publicKey,
      wantsKeyInAnswer: false,
      wantsKeepAlive: false,
    };
    const answer = await this.#ask("launch", (server) => server.launches.launch(CALLER, request));
    if (answer === undefined) return undefined;
    const launch = { instanceId: answer.instance.id, deploymentId, atMs: this.#world.time.nowMs };
    this.acknowledged.push(launch);
    return launch;
  }

  async terminate(instanceId: InstanceId): Promise<void> {
    await this.#ask("terminate", (server) => server.instances.terminate(CALLER, instanceId, ["user", "owner"]));
  }

  /** Presses E-stop as the owner: for the instance, or for whatever its deployment does by now. */
  async estop({ instanceId, deploymentId }: AcknowledgedLaunch): Promise<void> {
    const meansInstance = this.#process.random.chance(0.7);
    await this.#ask("estop", ({ estops }) =>
      meansInstance ? estops.pressInstance(CALLER, instanceId) : estops.pressDeployment(CALLER, deploymentId),
    );
  }

  /** Lifts what locks the deployment out. From when on it may be launched again is not known, but it is not before now. */
  async unlock(deploymentId: DeploymentId): Promise<void> {
    this.#world.unlocks.push({ deploymentId, atMs: this.#world.time.nowMs });
    await this.#ask("unlock", ({ lockouts }) => lockouts.unlock(CALLER, deploymentId));
  }

  /** Keeps a connection to the instance, and writes into it, until the signal. */
  async act(instanceId: InstanceId, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#process;
    while (!signal.aborted) {
      try {
        const stream = await this.connect(instanceId, random.pick(this.#world.hubs).name, signal);
        while (!signal.aborted && !stream.destroyed) {
          stream.write("move\n");
          await pause(clock, random.between(10, 500), signal);
        }
        stream.destroy();
      } catch {
        // tried again
      }
      await pause(clock, random.between(100, 2000), signal);
    }
  }

  /** Opens a stream to the instance, through the hub as a jump host. @throws AppError */
  async connect(instanceId: InstanceId, hub: string, signal: AbortSignal): Promise<Duplex> {
    const socket = await this.#world.network.connect(this.#process, `${hub}:22`, signal);
    const table = new StreamTable(socket, this.#process.clock, "client");
    table.send({ type: "login", username: instanceId, key: identityOf(USER_KEY).publicKey });
    try {
      const stream = await table.open({ host: instanceId }, signal);
      stream.once("close", () => table.cut());
      stream.resume();
      return stream;
    } catch (error) {
      table.cut();
      throw error;
    }
  }

  /** Asks one of the servers that run. The answer may be lost with it. */
  async #ask<Answer>(what: string, work: (server: SimulatedServer) => Promise<Answer>): Promise<Answer | undefined> {
    const { servers, trace } = this.#world;
    const process = this.#process;
    await process.pass(process.random.fraction() * 20);
    const up = servers.filter((server) => server.running !== undefined && !this.#world.network.isCut(process.computer, server.computer));
    if (up.length === 0) return undefined;
    const server = process.random.pick(up).running;
    if (server === undefined) return undefined;
    return new Promise((resolve) => {
      const settle = (answer: Answer | undefined) => process.clock.after(process.random.fraction() * 20, () => resolve(answer));
      process.clock.after(REQUEST_TIMEOUT_MS, () => resolve(undefined));
      server.process.deliver(() => {
        work(server).then(
          (answer) => server.process.isAlive && settle(answer),
          (error: unknown) => {
            if (!server.process.isAlive) return;
            trace.note(process.name, `${what} refused: ${error instanceof AppError ? error.code : String(error)}`);
            settle(undefined);
          },
        );
      });
    });
  }
}

const CALLER = {
  user: "owner",
  org: null,
  isSuperuser: false,
  isGuest: false,
  tokenSha256: "",
  expiresAt: new Date(8.64e15),
  claims: {} as never,
};
