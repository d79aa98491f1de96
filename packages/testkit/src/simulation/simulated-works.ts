import { Duplex } from "node:stream";
import {
  adoptContainer,
  createContainer,
  type InstanceParts,
  type InstanceWorks,
  putKeys,
  removeContainers,
  startContainer,
  untilUnstopped,
  verifyNoContainer,
} from "@hardshare/host/wiring";
import { AppError } from "@hardshare/protocol";
import { readHostKeyLine } from "./identities.ts";
import type { Ledger } from "./ledger.ts";
import type { SimulatedProcess } from "./simulated-process.ts";

/** How things go wrong at a host; probabilities. */
export interface Mishaps {
  init: number;
  terminate: number;
  baseline: number;
  safeState: number;
  filterStart: number;
}

export const NO_MISHAPS: Mishaps = { init: 0, terminate: 0, baseline: 0, safeState: 0, filterStart: 0 };

/** Filters that stand open to a device, whatever daemon opened them. */
export type OpenFilters = Set<{ instanceId: string; close(): void }>;

/** How long the works of a step take at most. */
const MAX_STEP_MS = 300;

/**
 * The works of one instance at a simulated host: containers are the engine's in memory, filters and programs write to the
 * ledger of the device instead of moving it. A filter is a process that ends with its daemon.
 */
export function simulatedWorks(
  parts: InstanceParts,
  at: { process: SimulatedProcess; ledger: Ledger; filters: OpenFilters; mishaps: () => Mishaps },
): InstanceWorks {
  const { process, ledger, filters } = at;
  const { random } = process;
  const { facts } = parts;

  const take = () => process.pass(random.fraction() ** 2 * MAX_STEP_MS);
  const program = async (deed: "init" | "terminate" | "baseline" | "safe_state", mishap: number, signal?: AbortSignal) => {
    await take();
    signal?.throwIfAborted(); // it was killed
    ledger.write(facts, deed);
    await take();
    if (random.chance(mishap)) {
      throw new AppError("program_failed", `${deed} failed`, { details: { locks: deed !== "init" } });
    }
  };
  const openFilter = async (signal: AbortSignal) => {
    await take();
    signal.throwIfAborted();
    if (random.chance(at.mishaps().filterStart)) throw new AppError("program_failed", "the filter does not start");
    const streams = new Set<Duplex>();
    const filter = {
      instanceId: facts.instanceId,
      close: () => {
        filters.delete(filter);
        for (const stream of streams) stream.destroy();
      },
    };
    filters.add(filter);
    process.onEnd(filter.close);
    parts.services.push({
      async dial() {
        if (!filters.has(filter)) throw new AppError("connection_lost", "the filter does not run");
        const stream = new EchoStream(() => ledger.write(facts, "action"));
        streams.add(stream);
        stream.once("close", () => streams.delete(stream));
        return stream;
      },
      name: "ROBOT",
      traffic: { service: "ROBOT", bytes: { in: 0, out: 0 } },
      rereadRules: async () => undefined,
      cut: filter.close,
      tapClosed: Promise.resolve(),
      hold: async () => filter.close(),
      release: () => {},
      async [Symbol.asyncDispose]() {
        filter.close();
        await take();
      },
    });
  };
  /** The container's SSH server: what is typed into it reaches the device through the filter. */
  const dialContainer = async () => {
    const toDevice = await parts.services[0]?.dial();
    const stream = new EchoStream((chunk) => void toDevice?.write(chunk), "SSH-2.0-simulated\r\n");
    stream.once("close", () => toDevice?.destroy());
    return stream;
  };

  const closeFilters = async () => {
    const open = parts.services.splice(0);
    await Promise.all(open.map((service) => service[Symbol.asyncDispose]()));
  };
  const makeSafe = () => program("safe_state", at.mishaps().safeState);

  return {
    makeSafe,
    cutOff: () => {
      ledger.write(facts, "estop");
      return closeFilters();
    },
    launch: {
      safe_state: async () => {
        await parts.inTurn(makeSafe);
        parts.isMadeSafe = true;
      },
      adopt: ({ signal }) => adoptContainer(parts, signal),
      network: take,
      filters: ({ signal }) => openFilter(signal),
      container: ({ signal }) => createContainer(parts, signal),
      device_files: async () => {},
      authorized_keys: ({ signal }) => putKeys(parts, signal),
      start: ({ signal }) => startContainer(parts, signal),
      relay: async () => {
        await take();
        parts.relay = { current: { dial: dialContainer }, async [Symbol.asyncDispose]() {} };
      },
      link: take,
      banner: async () => {
        await take();
        parts.hostKeys = [readHostKeyLine()];
      },
      init: async ({ signal }) => {
        signal.throwIfAborted();
        await program("init", at.mishaps().init, signal);
      },
      init_inside: take,
      tunnel: ({ signal }) => {
        parts.tunnel.open();
        return parts.tunnel.waitUntilBound(signal);
      },
    },
    end: {
      filters: closeFilters,
      safe_state: () => parts.inTurn(makeSafe),
      tunnel: async () => parts.tunnel[Symbol.asyncDispose](),
      terminate: () => untilUnstopped(parts, (signal) => program("terminate", at.mishaps().terminate, signal)),
      container: () => removeContainers(parts),
      relay: async () => {
        parts.relay = undefined;
      },
      link: take,
      network: take,
      baseline: () => untilUnstopped(parts, (signal) => program("baseline", at.mishaps().baseline, signal)),
      verify: async () => {
        await parts.safeState;
        if (!parts.isProxy) await verifyNoContainer(parts);
      },
    },
    endFormer: async () => {}, // filters end with the daemon that opened them
  };
}

/** A stream that hands on what it gets, and answers with the same, after what it says first. */
class EchoStream extends Duplex {
  readonly #onChunk: (chunk: Buffer) => void;

  constructor(onChunk: (chunk: Buffer) => void, greeting?: string) {
    super();
    this.#onChunk = onChunk;
    this.on("error", () => {});
    if (greeting !== undefined) this.push(greeting);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#onChunk(chunk);
    this.push(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.push(null);
    done();
  }
}
