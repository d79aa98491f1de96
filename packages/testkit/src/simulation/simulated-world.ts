import type { HostCore } from "@hardshare/host/wiring";
import { DeploymentId, HostId, HubId } from "@hardshare/protocol";
import type { Failpoints } from "@hardshare/runtime";
import { identityOf } from "./identities.ts";
import { Ledger } from "./ledger.ts";
import { SeededRandom } from "./seeded-random.ts";
import { HostComputer, runHost } from "./simulated-host.ts";
import { runHub } from "./simulated-hub.ts";
import { SimulatedNetwork } from "./simulated-network.ts";
import { BEGINNING_MS, Computer, SimulatedProcess } from "./simulated-process.ts";
import { runServer, type SimulatedServer } from "./simulated-server.ts";
import { type SimulatedStore, simulateInMemory } from "./simulated-store.ts";
import { Trace } from "./trace.ts";
import { VirtualTime } from "./virtual-time.ts";

const SERVER_KEY = 1;
const FIRST_HOST_KEY = 10;
const FIRST_HUB_KEY = 20;
const OWNER = "owner";

/** A program that can be killed, paused and started again: its place, and what starts it. */
export class Program<Running> {
  readonly name: string;
  readonly computer: Computer;
  readonly #start: (process: SimulatedProcess) => Promise<Running>;
  readonly #newProcess: (name: string, computer: Computer) => SimulatedProcess;
  process: SimulatedProcess | undefined;
  /** What runs; undefined while it starts, and when it does not run. */
  running: Running | undefined;

  constructor(
    name: string,
    computer: Computer,
    newProcess: (name: string, computer: Computer) => SimulatedProcess,
    start: (process: SimulatedProcess) => Promise<Running>,
  ) {
    this.name = name;
    this.computer = computer;
    this.#newProcess = newProcess;
    this.#start = start;
  }

  get isRunning(): boolean {
    return this.process?.isAlive ?? false;
  }

  start(): void {
    if (this.isRunning) return;
    const process = this.#newProcess(this.name, this.computer);
    this.process = process;
    process.onEnd(() => (this.running = undefined));
    void this.#start(process).then(
      (running) => {
        if (process.isAlive) this.running = running;
      },
      (error: unknown) => {
        if (process.isAlive) throw error;
      },
    );
  }

  kill(): void {
    this.process?.kill();
  }
}

/** What one simulated host is: the computer, and the daemon on it. */
export interface SimulatedHost {
  readonly place: HostComputer;
  readonly daemon: Program<HostCore>;
}

/** Servers, hubs and hosts of one seed, with the store, the network and the ledger between them. */
export class SimulatedWorld {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly trace: Trace;
  readonly ledger: Ledger;
  readonly network: SimulatedNetwork;
  readonly store: SimulatedStore;
  readonly servers: Program<SimulatedServer>[] = [];
  readonly hubs: Program<void>[] = [];
  readonly hosts: SimulatedHost[] = [];
  readonly deployments: DeploymentId[] = [];
  /** When owners began to lift lock-outs. */
  readonly unlocks: { deploymentId: DeploymentId; atMs: number }[] = [];
  /**
   * Called before each step of a program that others can see: failpoints of a host daemon, statements and commits of a
   * server, messages of a hub. It may kill the program.
   */
  onStep: (program: Program<unknown>, name: string) => void = () => {};
  readonly #seed: number;
  #streams = 0;

  constructor(seed: number, store: SimulatedStore = simulateInMemory()) {
    this.#seed = seed;
    this.store = store;
    this.time = new VirtualTime(() => store.isBusy);
    this.trace = new Trace(() => this.time.nowMs);
    this.ledger = new Ledger(() => this.time.nowMs);
    this.random = this.newRandom();
    this.network = new SimulatedNetwork(this.time, this.newRandom());
  }

  /** Registers everything, and starts all programs. @param shape how many of each, and for each host its deployments */
  async boot(shape: { servers: number; hubs: number; hosts: readonly (readonly ProviderName[])[] }): Promise<void> {
    const { random, network, trace } = this;
    const serverKey = identityOf(SERVER_KEY).publicKey;
    for (let index = 0; index < shape.servers; index += 1) {
      const computer = new Computer(`server${index}`);
      const replicaId = random.uuid();
      const server: Program<SimulatedServer> = this.#program(computer.name, computer, (process) => {
        const onStep = (name: string) => this.onStep(server, name);
        const logger = trace.loggerOf(process);
        return runServer(this.store, { process, replicaId, identity: identityOf(SERVER_KEY), network, onStep, logger });
      });
      this.servers.push(server);
    }
    const at = new Date(BEGINNING_MS);
    const { observer: setUp } = this.store;
    await setUp.transaction(async (tx) => {
      await setUp.users.add(tx, { name: OWNER, at });
      for (let index = 0; index < shape.hubs; index += 1) {
        const id = HubId.parse(random.uuid());
        const [identity, sshHost] = [identityOf(FIRST_HUB_KEY + 2 * index), identityOf(FIRST_HUB_KEY + 2 * index + 1)];
        const computer = new Computer(`hub${index}`);
        const { name } = computer;
        await setUp.hubs.register(tx, { id, name, publicKey: identity.publicKey, sshHostKey: sshHost.publicKey, at });
        const settings = { id, identity, sshHost, serverKey, name };
        const hub: Program<void> = this.#program(name, computer, async (process) => {
          const onStep = (name: string) => this.onStep(hub, name);
          runHub(settings, { process, network, onStep, logger: trace.loggerOf(process) });
        });
        this.hubs.push(hub);
      }
      for (const [index, providers] of shape.hosts.entries()) {
        const id = HostId.parse(random.uuid());
        const identity = identityOf(FIRST_HOST_KEY + index);
        const computer = new Computer(`host${index}`);
        await setUp.hosts.register(tx, { id, owner: OWNER, name: computer.name, publicKey: identity.publicKey, at });
        const deployments = providers.map((provider) => ({ id: DeploymentId.parse(random.uuid()), contract: contractOf(provider) }));
        for (const deployment of deployments) {
          const facts = { type: "user_provided", typeVersion: 1, description: null, region: "", supportedAddons: [], origin: null };
          await setUp.deployments.insert(tx, { ...facts, id: deployment.id, owner: OWNER, hostId: id, at });
          this.deployments.push(deployment.id);
        }
        const place = new HostComputer({ computer, id, identity, deployments, nowMs: () => this.time.nowMs });
        const daemon: Program<HostCore> = this.#program(computer.name, computer, (process) => {
          const failpoints: Failpoints = {
            pass: async (name) => {
              this.onStep(daemon, name);
              if (!process.isAlive) await process.never();
            },
          };
          return runHost(place, { process, network, ledger: this.ledger, failpoints, serverKey, logger: trace.loggerOf(process) });
        });
        this.hosts.push({ place, daemon });
      }
    });
    for (const program of this.programs) program.start();
  }

  get programs(): Program<unknown>[] {
    return [...this.servers, ...this.hubs, ...this.hosts.map(({ daemon }) => daemon)];
  }

  /** Randomness of its own, so that what one part draws does not change what the others get. */
  newRandom(): SeededRandom {
    return new SeededRandom(this.#seed, this.#streams++);
  }

  newProcess(name: string, computer: Computer): SimulatedProcess {
    return new SimulatedProcess(name, computer, this.time, this.newRandom());
  }

  #program<Running>(name: string, computer: Computer, start: (process: SimulatedProcess) => Promise<Running>): Program<Running> {
    return new Program(name, computer, (name, computer) => this.newProcess(name, computer), start);
  }
}

export type ProviderName = "proxy" | "podman";

function contractOf(provider: ProviderName): string {
  const programs = "init: [./init]\nterminate: [{ run: ./terminate, timeout: 20 }]\nbaseline: [./is-clean]\nsafe_state: [./safe]\n";
  return `provider: ${provider}\nservices: [{ name: ROBOT, command: ./filter }]\n${programs}`;
}
