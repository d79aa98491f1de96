import { createServer, type Socket } from "node:net";
import type { Clock } from "@hardshare/runtime";
import { MAX_TCP_CONNECTIONS } from "@hardshare/protocol";
import type { DeviceAddress } from "../run/device-address.ts";
import { plainAddress } from "../rules/peer-pattern.ts";
import { type CompiledTcpRules, judgePeer, type TcpAllow, type TcpVerdict } from "../rules/tcp-rules.ts";
import type { FilterTools, Judgement, RunningFilter } from "../run/filter-kind.ts";
import { listen } from "../run/listen.ts";
import { Pacer } from "./pacer.ts";
import { type ConnectionBounds, TcpConnection } from "./tcp-connection.ts";

/**
 * A connection that says nothing and stays for so long is meant: its client waits for the device to speak first. One by
 * which a hub looks whether the way is open is closed sooner, after one round trip.
 */
const MEANT_AFTER_MS = 500;

interface TcpFilterOptions extends FilterTools<CompiledTcpRules> {
  readonly device: DeviceAddress;
}

/**
 * The `tcp` filter: judges connections by their peer, and bounds what passes through those that it lets through.
 * Resolves when it listens. Dispose it to cut every connection.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function startTcpFilter(options: TcpFilterOptions): Promise<RunningFilter> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  const connections = new TcpConnections(options);
  server.maxConnections = MAX_TCP_CONNECTIONS;
  server.on("connection", (socket) => void connections.accept(socket));
  const listening = await listen(server, options);
  return {
    get address() {
      return listening.address;
    },
    judgeAgain: () => connections.judgeAgain(),
    cutAll() {
      connections.drop();
      return listening.renew();
    },
    async [Symbol.asyncDispose]() {
      const closed = listening.close();
      connections.drop();
      await closed;
    },
  };
}

/** All connections of a filter, in the order in which they were let through. */
class TcpConnections {
  readonly #options: TcpFilterOptions;
  readonly #coming = new Set<Socket>();
  readonly #open = new Map<TcpConnection, string>();
  /** Of rules that bound bytes: each rule's connections share them. */
  readonly #pacers = new WeakMap<TcpAllow, ConnectionBounds["pacers"]>();

  constructor(options: TcpFilterOptions) {
    this.#options = options;
  }

  async accept(client: Socket): Promise<void> {
    const { clock, rules, onDecision, device } = this.#options;
    const address = plainAddress(client.remoteAddress ?? "");
    const summary = `connection from ${address}`;
    client.on("error", () => {}); // "close" follows
    this.#coming.add(client);
    const isMeant = await untilMeant(client, clock);
    this.#coming.delete(client);
    if (!isMeant) return void client.destroy();
    const { current } = rules;
    const verdict = this.#judge(address, current);
    const { rule } = verdict;
    const isShadow = current.mode === "shadow";
    const because = verdict.decision === "block" ? verdict.because : verdict.matched?.limits?.take(undefined);
    const told = { direction: "in", mode: current.mode, rule, summary } as const;
    if (because === undefined) onDecision({ ...told, decision: "allow" });
    else {
      onDecision({ ...told, decision: "block", because });
      if (!isShadow) return void client.resetAndDestroy();
    }
    const connection = new TcpConnection({
      client,
      device,
      bounds: this.#boundsOf(verdict, isShadow),
      clock,
      onRefused: (reason) => this.#tellEnd(connection.rule, summary, reason),
      onClosed: () => this.#open.delete(connection),
    });
    this.#open.set(connection, address);
  }

  /** Rules were read again: what is not allowed any more is closed, and other bounds hold for the rest. */
  judgeAgain(): void {
    const { current } = this.#options.rules;
    const judged = [...this.#open];
    this.#open.clear(); // so that each counts those before it
    for (const [connection, address] of judged) {
      const verdict = this.#judge(address, current);
      this.#open.set(connection, address);
      const isShadow = current.mode === "shadow";
      connection.rebind(this.#boundsOf(verdict, isShadow));
      if (verdict.decision === "block" && !isShadow) connection.refuse(`it is not allowed any more: ${verdict.because}`);
    }
  }

  drop(): void {
    for (const client of this.#coming) client.destroy();
    for (const connection of this.#open.keys()) connection.drop();
  }

  #judge(address: string, rules: CompiledTcpRules): TcpVerdict {
    return judgePeer(rules, address, (rule) => [...this.#open.keys()].filter((other) => other.rule === rule).length);
  }

  #boundsOf(verdict: TcpVerdict, isShadow: boolean): ConnectionBounds {
    const matched = verdict.decision === "allow" && !isShadow ? verdict.matched : undefined;
    return { rule: verdict.rule, idleMs: matched?.idleMs, pacers: this.#pacersOf(matched) };
  }

  #pacersOf(matched: TcpAllow | undefined): ConnectionBounds["pacers"] {
    if (matched === undefined) return { in: undefined, out: undefined };
    const known = this.#pacers.get(matched);
    if (known !== undefined) return known;
    const pace = (bytesPerSecond: number | undefined) =>
      bytesPerSecond === undefined ? undefined : new Pacer({ clock: this.#options.clock, bytesPerSecond });
    const pacers = { in: pace(matched.bytesPerSecond.in), out: pace(matched.bytesPerSecond.out) };
    this.#pacers.set(matched, pacers);
    return pacers;
  }

  /** Told as of the way out: no message came in. */
  #tellEnd(rule: string, summary: string, because: string): void {
    const told: Judgement = { direction: "out", decision: "block", mode: "enforce", rule, summary, because };
    this.#options.onDecision(told);
  }
}

/**
 * Whether a connection is a message: it says something, or stays. One that is closed at once, as the hub does to see
 * whether the way is open, is none: it reaches no device, uses nothing up, and is no sign of its user.
 */
function untilMeant(client: Socket, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isMeant: boolean) => {
      timer[Symbol.dispose]();
      client.off("readable", look).off("close", leave);
      resolve(isMeant);
    };
    const look = () => settle(client.readableLength > 0);
    const leave = () => settle(false);
    // When the process was busy meanwhile, what came of the connection has yet to be heard.
    const timer = clock.after(MEANT_AFTER_MS, () => setImmediate(() => settle(true)));
    client.once("readable", look).once("close", leave);
  });
}
