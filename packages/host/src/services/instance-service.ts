import { Socket } from "node:net";
import { AppError, type FilterReport, type FilterRulesRead, type ServiceTraffic } from "@hardshare/protocol";
import { BackOff, type Clock, Deferred, type Random, within } from "@hardshare/runtime";
import { cut } from "@hardshare/runtime/sockets";
import { Supervised } from "../programs/supervised.ts";
import type { ServiceTap } from "../taps/service-tap.ts";
import { TappedSocket } from "../taps/tapped-socket.ts";
import { type ServiceProgram, startServiceProgram, type StartServiceOptions } from "./service-program.ts";
import { TrafficCounter } from "./service-traffic.ts";

/** Connections to one service at the same time; more are refused. */
const MAX_CONNECTIONS = 256;
/** Longest time for a connection to a service, which runs on this computer. */
const DIAL_WITHIN_MS = 5000;
const RESTART_FIRST_MS = 200;
const RESTART_MAX_MS = 10_000;
/** Longest time for a filter to read its rules again. */
const REREAD_WITHIN_MS = 5000;

export interface InstanceServiceOptions extends Omit<StartServiceOptions, "signal"> {
  random: Random;
  /** Gets a copy of all that its connections carry. */
  tap?: ServiceTap | undefined;
  /** Its program ended by itself: its connections are cut already. */
  onLost: (how: string) => void;
  /** Its program does not drop what it had read: it is ended, and started again. */
  onEnded: (why: string) => void;
  onRestored: () => void;
}

/**
 * A service of one instance: its program, kept running, and the connections to it. When the program ends, its
 * connections are cut at once and nothing passes until it runs again.
 */
export class InstanceService implements AsyncDisposable {
  readonly name: string;
  readonly #clock: Clock;
  readonly #tap: ServiceTap | undefined;
  #tapClosed = Promise.resolve();
  readonly #sockets = new Set<Socket>();
  readonly #traffic = new TrafficCounter();
  #program: Supervised<ServiceProgram> | undefined;
  #isClosed = false;
  /** How many hold it. */
  #holds = 0;
  /** Its program was asked to cut all, and has not yet said that it did: it may not bear the question, or is being ended. */
  #isAsked = false;
  /** Those who wait for the filter to read its rules again, in turn. */
  #rereaders: Deferred<FilterRulesRead>[] = [];

  private constructor({ name, clock, tap }: InstanceServiceOptions) {
    this.name = name;
    this.#clock = clock;
    this.#tap = tap;
  }

  /** @throws AppError `program_failed`, `cancelled` */
  static async start(options: InstanceServiceOptions, signal: AbortSignal): Promise<InstanceService> {
    const service = new InstanceService(options);
    service.#program = await Supervised.start(
      {
        start: (signal) => {
          service.#traffic.onRestart();
          return startServiceProgram({ ...options, onReport: (report) => service.#hear(report, options), signal });
        },
        backOff: new BackOff({ firstMs: RESTART_FIRST_MS, maxMs: RESTART_MAX_MS, random: options.random }),
        clock: options.clock,
        onLost: (how) => {
          service.#cut();
          if (!service.#isAsked) return options.onLost(how);
          service.#isAsked = false;
          options.onEnded(`service ${options.name} is started again, so that nothing passes that it had read`);
        },
        onRestored: options.onRestored,
      },
      signal,
    );
    return service;
  }

  /** How much went through it, over all runs of its program. */
  get traffic(): ServiceTraffic {
    return { service: this.name, ...this.#traffic.total };
  }

  /** A connection to the service. @throws AppError `connection_lost` when it does not run or does not accept */
  async dial(): Promise<Socket> {
    const program = this.#program?.current;
    if (this.#isClosed || program === undefined) throw new AppError("connection_lost", `service ${this.name} does not run`);
    if (this.#holds > 0) throw new AppError("connection_lost", `nothing passes service ${this.name} until the hardware is safe`);
    if (this.#sockets.size >= MAX_CONNECTIONS) throw new AppError("connection_lost", `service ${this.name} has too many connections`);
    const socket = this.#tap === undefined ? new Socket({ allowHalfOpen: true }) : new TappedSocket(this.#tap.connection());
    socket.connect({ ...program.address, noDelay: true });
    this.#sockets.add(socket);
    this.#traffic.count(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    try {
      await connected(socket, DIAL_WITHIN_MS);
    } catch (cause) {
      socket.on("error", () => {});
      socket.destroy();
      throw new AppError("connection_lost", `service ${this.name} does not accept connections: ${(cause as Error).message}`, { cause });
    }
    return socket;
  }

  /**
   * Has a filter read its rules again.
   * @returns what is wrong with them, in which case those before stay in force; undefined when they are in force
   * @throws AppError `program_failed` when it does not run, or says nothing within 5 s
   */
  async rereadRules(): Promise<string | undefined> {
    const program = this.#program?.current;
    if (this.#isClosed || program === undefined) throw new AppError("program_failed", `service ${this.name} does not run`);
    const read = new Deferred<FilterRulesRead>();
    this.#rereaders.push(read);
    program.rereadRules();
    const answer = await within(this.#clock, REREAD_WITHIN_MS, Promise.race([read.promise, program.ended.then(() => undefined)]));
    if (answer !== undefined) return answer.problem;
    this.#rereaders = this.#rereaders.filter((other) => other !== read);
    throw new AppError(
      "program_failed",
      `service ${this.name} did not say that it read its rules again; it reads them when it is started anew`,
    );
  }

  /**
   * Cuts all connections, and makes none until all who hold it have released it. Filters can tell it from a user who left.
   * Settles when nothing passes any more of what its program had read either: a reset alone is not noticed by one that
   * reads nothing more until the hardware takes what it has. A program that does not say that it dropped it is ended, and
   * started again.
   */
  async hold(): Promise<void> {
    this.#holds += 1;
    this.#cut();
    const program = this.#program?.current;
    if (program !== undefined) {
      this.#isAsked = true;
      if (await program.cutAll()) this.#isAsked = false;
    }
    await this.#program?.cleared; // of one that ended, also until just now
  }

  release(): void {
    this.#holds -= 1;
  }

  /** Cuts all connections, and makes no more: nothing passes from now on. */
  cut(): void {
    this.#isClosed = true;
    this.#cut();
  }

  /** Cuts it, then ends the program. The tap's log is not waited for: an E-stop must not hang on a disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await this.#program?.[Symbol.asyncDispose]();
    this.#tapClosed = this.#tap?.[Symbol.asyncDispose]() ?? Promise.resolve();
  }

  /** Settles when what was tapped is written, once this was disposed. */
  get tapClosed(): Promise<void> {
    return this.#tapClosed;
  }

  #hear(report: FilterReport, options: InstanceServiceOptions): void {
    if (report.type === "pulse") this.#traffic.onPulse(report);
    if (report.type === "rules") this.#rereaders.shift()?.resolve(report);
    options.onReport(report);
  }

  #cut(): void {
    for (const socket of this.#sockets) cut(socket);
  }
}

/** Settles when a socket is connected. (A signal with a timeout takes as long as connecting does, and this is on the way of each new stream.) */
function connected(socket: Socket, withinMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${withinMs / 1000} s`)), withinMs);
    const settle = () => {
      clearTimeout(timer);
      socket.off("error", reject);
    };
    socket.once("error", reject);
    // A socket that is cut while it connects closes without an error.
    socket.once("close", () => {
      settle();
      reject(new Error("the connection was closed"));
    });
    socket.once("connect", () => {
      settle();
      resolve();
    });
  });
}
