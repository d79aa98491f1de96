import { type Engine, FakeEngine, HostCore, Journal, parseContract } from "@hardshare/host/wiring";
import { AppError, type DeploymentId, type HostId } from "@hardshare/protocol";
import type { Failpoints, Logger } from "@hardshare/runtime";
import type { KeyPair } from "@hardshare/wire/ssh";
import type { Ledger } from "./ledger.ts";
import { SimulatedDisk } from "./simulated-disk.ts";
import { SERVER_ADDRESS } from "./simulated-hub.ts";
import type { SimulatedNetwork } from "./simulated-network.ts";
import type { Computer, SimulatedProcess } from "./simulated-process.ts";
import { SimulatedTunnel } from "./simulated-tunnel.ts";
import { type Mishaps, NO_MISHAPS, type OpenFilters, simulatedWorks } from "./simulated-works.ts";

const IMAGE = "localhost/hardshare/generic";

/** A host computer: what outlives its daemon. */
export class HostComputer {
  readonly computer: Computer;
  readonly id: HostId;
  readonly identity: KeyPair;
  readonly deployments: readonly { id: DeploymentId; contract: string }[];
  readonly disk = new SimulatedDisk();
  readonly filters: OpenFilters = new Set();
  mishaps: Mishaps = NO_MISHAPS;
  engine: FakeEngine;
  bootId = "boot 1";
  #boots = 1;
  #bootedAtMs = 0;
  readonly #nowMs: () => number;

  constructor(options: {
    computer: Computer;
    id: HostId;
    identity: KeyPair;
    deployments: readonly { id: DeploymentId; contract: string }[];
    nowMs: () => number;
  }) {
    this.computer = options.computer;
    this.id = options.id;
    this.identity = options.identity;
    this.deployments = options.deployments;
    this.#nowMs = options.nowMs;
    this.engine = this.#newEngine();
  }

  get uptimeMs(): number {
    return this.#nowMs() - this.#bootedAtMs;
  }

  /** Power is lost: containers and filters are gone. */
  reboot(): void {
    this.#boots += 1;
    this.bootId = `boot ${this.#boots}`;
    this.#bootedAtMs = this.#nowMs();
    this.engine = this.#newEngine();
  }

  #newEngine(): FakeEngine {
    const nowMs = this.#nowMs;
    // Its containers only sleep; no timer of theirs has to fire.
    const clock = { now: nowMs, monotonicMs: nowMs, after: () => ({ [Symbol.dispose]() {} }) };
    return new FakeEngine({ clock, images: { [IMAGE]: { id: "i", labels: {}, command: ["sleep", "1000000"] } } });
  }
}

/** Runs the host daemon in a process on its computer. @returns what it holds, for looking at it */
export async function runHost(
  host: HostComputer,
  at: { process: SimulatedProcess; network: SimulatedNetwork; ledger: Ledger; failpoints: Failpoints; serverKey: string; logger: Logger },
): Promise<HostCore> {
  const { process, network, ledger, failpoints, serverKey, logger } = at;
  const { clock, random } = process;
  const { identity, bootId } = host;
  const journal = await Journal.load(host.disk.openFor(process));
  const contracts = new Map(host.deployments.map(({ id, contract }) => [`/home/deployments/${id}.yaml`, contract]));
  const core = new HostCore({
    home: "/home",
    onDissolved: () => {},
    config: { deployments: host.deployments.map(({ id }) => ({ id })) },
    journal,
    tools: {
      hostId: host.id,
      privateKey: identity.privateKey,
      selfCommand: [],
      spareFilter: undefined as never, // no contract here names a filter of ours
      environment: {},
      launcher: [],
      stateFolder: "/state",
      socketFolder: "/run",
      packetRules: undefined as never, // every contract here is isolated
      loadContract: async (path) => {
        const text = contracts.get(path);
        if (text === undefined) throw new AppError("not_configured", `no contract ${path}`);
        return parseContract(text, path, "/home/deployments");
      },
      checkPrograms: async () => {}, // they are simulated
      runProgram: async () => ({ isOk: true }),
      works: (parts) => simulatedWorks(parts, { process, ledger, filters: host.filters, mishaps: () => host.mishaps }),
      openTunnel: (options) => new SimulatedTunnel({ ...options, publicKey: identity.publicKey }, process, network),
      time: () => ({ wallMs: clock.now(), uptimeMs: host.uptimeMs, bootId }),
      clock,
      random,
      failpoints,
      logger,
    },
    openEngine: async () => engineFor(host.engine, process),
    logger,
  });
  core.restore();
  void core.begin(
    host.deployments.map(({ id }) => id),
    {
      server: SERVER_ADDRESS.replace(/^ws/, "http"),
      serverKey,
      hostId: host.id,
      privateKey: identity.privateKey,
      bootId,
      softwareVersion: "simulated",
      openSocket: (url, signal) => network.connect(process, url, signal),
    },
  );
  return core;
}

/** The engine as one process reaches it: a call takes time, and one whose process is killed may or may not have been done. */
function engineFor(engine: FakeEngine, process: SimulatedProcess): Engine {
  const { random } = process;
  return new Proxy<Engine>(engine, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      const call = value as (...args: unknown[]) => Promise<unknown>;
      if (name === "watchExits") {
        return (labels: unknown, onExit: (exit: unknown) => void, signal: AbortSignal) =>
          call.call(target, labels, (exit: unknown) => process.deliver(() => onExit(exit)), signal);
      }
      return async (...args: unknown[]) => {
        await process.pass(random.fraction() ** 2 * 100);
        const result = await call.apply(target, args);
        await process.pass(random.fraction() ** 2 * 20);
        return result;
      };
    },
  });
}
