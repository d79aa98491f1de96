import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { HostTime } from "@hardshare/core";
import {
  AppError,
  type DeploymentId,
  type FilterDirection,
  type FilterReport,
  type InstanceId,
  type LifecycleProgram,
  type ServiceTraffic,
} from "@hardshare/protocol";
import type { Clock, Failpoints, Logger, Random } from "@hardshare/runtime";
import type { LoadedContract } from "../contract/load-contract.ts";
import type { ContainerProvider, Engine } from "../engine/engine.ts";
import type { PacketRules } from "../network/packet-rules.ts";
import { type ProgramPlace, programEnvironment } from "../programs/program-place.ts";
import type { ProgramOutcome, RunOptions } from "../programs/run-program.ts";
import type { SpareFilter } from "../services/spare-filter.ts";
import type { Tunnel, TunnelOptions } from "../tunnels/tunnel.ts";
import type { InstanceWorks } from "./instance-works.ts";

/** What all instances of a host share. */
export interface HostTools {
  hostId: string;
  /** The host's identity key, with which it logs in at hubs. */
  privateKey: string;
  /** Argument vector by which this program is run again, for its filters. */
  selfCommand: readonly string[];
  spareFilter: SpareFilter;
  environment: Readonly<Record<string, string | undefined>>;
  /** See `ProgramPlace`. */
  launcher: readonly string[];
  /** `$HARDSHARE_STATE`: what instances keep on disk lies below. */
  stateFolder: string;
  /** Short folder for sockets. */
  socketFolder: string;
  /** The container engine of a provider. @throws AppError when there is none */
  engine(provider: ContainerProvider): Promise<Engine>;
  packetRules: PacketRules;
  /** @throws AppError as `loadContract` */
  loadContract(path: string): Promise<LoadedContract>;
  /** Looks whether the programs of a contract can be run. @throws AppError as `checkPrograms` */
  checkPrograms(loaded: LoadedContract): Promise<void>;
  /** Runs a program that belongs to no instance, as `runLifecycleProgram`. */
  runProgram(program: LifecycleProgram, options: RunOptions): Promise<ProgramOutcome>;
  works(parts: InstanceParts): InstanceWorks;
  openTunnel(options: TunnelOptions): Tunnel;
  /** The host's clocks, for deadlines. */
  time: () => HostTime;
  clock: Clock;
  random: Random;
  failpoints: Failpoints;
  logger: Logger;
}

/** What is settled about an instance when it begins. */
export interface InstanceFacts {
  deploymentId: DeploymentId;
  instanceId: InstanceId;
  epoch: number;
  user: string;
  /** OpenSSH public key lines that may log in. */
  publicKeys: readonly string[];
  loaded: LoadedContract;
  /** A trial of `hardshare check`: the server knows nothing of it. */
  isTrial?: boolean;
}

/** A service of an instance: connections to it can be made while it runs. */
interface RunningService extends AsyncDisposable {
  readonly name: string;
  /** How much went through it. */
  readonly traffic: ServiceTraffic;
  /** @throws AppError `connection_lost` */
  dial(): Promise<Duplex>;
  /** Has its filter read its rules again. @returns what is wrong with them @throws AppError `program_failed` */
  rereadRules(): Promise<string | undefined>;
  /** Lets nothing more through, from now on. */
  cut(): void;
  /** Settles when what was tapped is written, once it was disposed. */
  readonly tapClosed: Promise<void>;
  /** Cuts its connections, and lets nothing through until all who hold it have released it. Settles when nothing passes; never rejects. */
  hold(): Promise<void>;
  release(): void;
}

/** While it lasts nothing passes any service. */
export interface Hold {
  /** Settles when nothing passes any more of what was on its way either: programs for the safe state wait for it. */
  readonly settled: Promise<unknown>;
  /** Lets messages pass again. */
  release(): void;
}

/** The way into the network of an instance's container. */
interface RunningRelay extends AsyncDisposable {
  /** Undefined between the end of its process and the next start. */
  readonly current: { dial(signal: AbortSignal): Promise<Duplex> } | undefined;
}

/** What the parts of an instance tell while it runs. */
export interface PartEvents {
  onServiceLost(name: string, how: string): void;
  onServiceRestored(name: string): void;
  onRelayLost(how: string): void;
  onRelayRestored(): void;
  onLinkLost(how: string): void;
  onLinkRestored(): void;
  /** Packet rules that others had changed are as they have to be again. */
  onRulesRestored(): void;
  /** A device file in the container answers with errors until the end of the instance. */
  onDeviceFileLost(inside: string): void;
  onTunnelBroken(isBroken: boolean): void;
  onServiceOutput(name: string, text: string): void;
  /** What its filter says of itself. */
  onServiceReport(name: string, report: FilterReport): void;
  /** A copy of what went through a tapped service. */
  onServiceTapped(name: string, direction: FilterDirection, chunk: Buffer): void;
  onServiceClosed(traffic: ServiceTraffic): void;
  /** People should know, and nothing else follows, such as a failure that the contract waives. */
  warn(message: string): void;
}

/** Port of the container's loopback on which the first service is found; the others follow. */
const FIRST_SERVICE_PORT = 22_100;

/** The live parts of one instance: filled by the launch steps, emptied by the end steps. */
export class InstanceParts {
  readonly facts: InstanceFacts;
  readonly tools: HostTools;
  readonly events: PartEvents;
  readonly tunnel: Tunnel;
  /** Aborted, with the reason, when the container ends by itself. */
  readonly containerLife = new AbortController();
  services: RunningService[] = [];
  pumps: AsyncDisposable[] = [];
  /** Terminals that are shown in the container as device files. */
  deviceFiles: { host: string; inside: string }[] = [];
  relay: RunningRelay | undefined;
  /** The way to the internet, and who answers questions for names; undefined for an isolated container. */
  link: AsyncDisposable | undefined;
  names: AsyncDisposable | undefined;
  containerId: string | undefined;
  /** Settles when what was tapped of services that are closed is written. */
  tapsClosed: Promise<unknown> = Promise.resolve();
  /** Whether the engine may still create a container: it did not answer when it was asked. */
  mayContainerAppear = false;
  hostKeys: string[] = [];
  /** Settles when the programs for the safe state that run, or wait for others, have ended; never rejects. */
  safeState: Promise<void> = Promise.resolve();
  /** Aborted by an E-stop, and then another: what programs for the end run under. */
  stopped = new AbortController();
  /** Whether the hardware was made safe after the daemon before, and its filters, had ended. */
  isMadeSafe = false;

  constructor(facts: InstanceFacts, tools: HostTools, events: PartEvents) {
    this.facts = facts;
    this.tools = tools;
    this.events = events;
    this.tunnel = tools.openTunnel({ dial: (signal) => this.#dial(signal), onBroken: (isBroken) => events.onTunnelBroken(isBroken) });
  }

  get contract(): LoadedContract["contract"] {
    return this.facts.loaded.contract;
  }

  get isProxy(): boolean {
    return this.contract.provider === "proxy";
  }

  /** Of its container. @throws AppError `internal` when it has none */
  get containerProvider(): ContainerProvider {
    const { provider } = this.contract;
    if (provider === "proxy") throw new AppError("internal", "an instance of `provider: proxy` has no container");
    return provider;
  }

  /** The engine that runs its container. @throws AppError when there is none */
  async engine(): Promise<Engine> {
    return this.tools.engine(this.containerProvider);
  }

  /** Folder of this instance's sockets. */
  get folder(): string {
    return join(this.tools.socketFolder, "i", this.facts.instanceId);
  }

  /** Folder of what lives as long as this instance, whatever becomes of daemons and filters: the budgets of its filters. */
  get stateFolder(): string {
    return join(this.tools.stateFolder, "instances", this.facts.instanceId);
  }

  /** Folder of the sockets of what keeps its device files: not that of the others, which a daemon that starts removes. */
  get keeperFolder(): string {
    return join(this.tools.socketFolder, "k", this.facts.instanceId);
  }

  /** Where a program in the container finds each service, and the socket outside that leads there. */
  get servicePlaces(): { name: string; port: number; socket: string }[] {
    return this.contract.services.map(({ name }, index) => ({ name, port: FIRST_SERVICE_PORT + index, socket: `s${index}.sock` }));
  }

  /** Sockets of the name service, in `folder`. */
  get nameSockets(): { stream: string; datagram: string } {
    return { stream: "names.sock", datagram: "name-datagrams.sock" };
  }

  /** Runs programs for the safe state after those that run already: never two at a time. */
  inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.safeState.then(run);
    this.safeState = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  /** Cuts the connections to all services, and lets nothing through. */
  holdServices(): Hold {
    const held = [...this.services];
    return {
      settled: Promise.all(held.map((service) => service.hold())),
      release() {
        for (const service of held) service.release();
      },
    };
  }

  /** Settles when no programs for the safe state run or wait, also none that came meanwhile. */
  async untilSafe(): Promise<void> {
    for (let waited: Promise<void> | undefined; waited !== this.safeState;) {
      waited = this.safeState;
      await waited;
    }
  }

  /** The device files by which programs in the container find services, each with the socket of its keeper. */
  get deviceFilePlaces(): { name: string; inside: string; socket: string }[] {
    return this.contract.services.flatMap((service, index) =>
      "device" in service && service.device !== undefined
        ? [{ name: service.name, inside: service.device, socket: join(this.keeperFolder, `${index}.sock`) }]
        : [],
    );
  }

  /** How programs on the host are run for an event of this instance. */
  placeFor(event: string): ProgramPlace {
    const { environment, launcher } = this.tools;
    return { folder: this.facts.loaded.folder, env: programEnvironment(environment, this.facts, event), launcher };
  }

  async #dial(signal: AbortSignal): Promise<Duplex> {
    if (this.isProxy) {
      const service = this.services[0];
      if (service === undefined) throw new AppError("connection_lost", "the filter does not run");
      return service.dial();
    }
    const relay = this.relay?.current;
    if (relay === undefined) throw new AppError("connection_lost", "the relay does not run");
    return relay.dial(signal);
  }
}
