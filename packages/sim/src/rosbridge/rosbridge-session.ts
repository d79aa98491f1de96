import type { Clock } from "@hardshare/runtime";
import type { Ledger } from "../ledger.ts";
import { readLoosely } from "./read-loosely.ts";
import type { RobotGraph, RosMessage, RunningGoal } from "./robot-graph.ts";

/** What the real rosbridge keeps for all its clients together: fragments and goals by their ids alone. */
export interface SharedByClients {
  readonly fragments: Map<string, Map<number, string>>;
  readonly goals: Map<string, RunningGoal>;
}

interface SessionOptions {
  readonly graph: RobotGraph;
  readonly shared: SharedByClients;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly send: (message: RosMessage) => void;
}

type Operation = Record<string, unknown>;

const PUBLISH_EVERY_MS = 100;
const MAX_FRAGMENTED = 1000;
/** Operations that change nothing by themselves. */
const READS = new Set(["subscribe", "unsubscribe", "unadvertise", "status", "set_level"]);

/**
 * One client of the simulated rosbridge. It is as careless as the real one, so that what a filter lets slip shows in the
 * ledger: relative names are completed, `#` ends the name of a service, goals are cancelled by their id whatever the action.
 */
export class RosbridgeSession implements Disposable {
  readonly #options: SessionOptions;
  readonly #subscriptions = new Map<string, Disposable>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  receive(text: string): void {
    const operations = readLoosely(text);
    if (operations.length === 0) this.#record("malformed", { text });
    for (const operation of operations) this.#obey(operation);
  }

  /** Something that is no text. */
  receiveBytes(sizeBytes: number): void {
    this.#record("malformed", { bytes: sizeBytes });
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions.values()) subscription[Symbol.dispose]();
  }

  #obey(operation: Operation): void {
    const { op, id } = operation;
    if (op === "fragment") return this.#join(operation);
    const given = operation["topic"] ?? operation["service"] ?? operation["action"];
    const name = completeName(typeof given === "string" ? given : "");
    this.#record(`${String(op)} ${name}`, operation);
    switch (op) {
      case "publish":
        return this.#options.graph.receivers[name]?.(asMessage(operation["msg"]));
      case "subscribe":
        return this.#subscribe(name, String(given));
      case "unsubscribe":
        this.#subscriptions.get(name)?.[Symbol.dispose]();
        this.#subscriptions.delete(name);
        return;
      case "call_service":
        return this.#call(name.split("#", 1)[0] ?? "", { service: given, id, args: asMessage(operation["args"]) });
      case "send_action_goal":
        return this.#pursue(name.split("#", 1)[0] ?? "", { action: given, id: String(id), operation });
      case "cancel_action_goal":
        return this.#options.shared.goals.get(String(id))?.cancel();
      case "advertise":
      case "unadvertise":
        return;
      default:
        this.#options.send({ op: "status", level: "error", msg: `Unknown operation: ${String(op)}`, ...idOf(id) });
    }
  }

  #join({ id, num, total, data }: Operation): void {
    const { fragments } = this.#options.shared;
    const pieces = fragments.get(String(id)) ?? new Map<number, string>();
    if (fragments.size < MAX_FRAGMENTED) fragments.set(String(id), pieces.set(Number(num), String(data)));
    if (pieces.size !== total) return;
    fragments.delete(String(id));
    this.receive(Array.from({ length: pieces.size }, (_none, index) => pieces.get(index)).join(""));
  }

  /** @param topic as the client named it */
  #subscribe(name: string, topic: string): void {
    const sender = this.#options.graph.senders[name];
    if (sender === undefined || this.#subscriptions.has(name)) return;
    let timer: Disposable;
    const step = () => {
      timer = this.#options.clock.after(PUBLISH_EVERY_MS, step);
      this.#options.send({ op: "publish", topic, msg: sender() });
    };
    this.#subscriptions.set(name, { [Symbol.dispose]: () => timer[Symbol.dispose]() });
    step();
  }

  #call(name: string, { service, id, args }: { service: unknown; id: unknown; args: RosMessage }): void {
    const answer = this.#options.graph.services[name];
    const response = { op: "service_response", service, ...idOf(id) };
    try {
      if (answer === undefined) throw new Error(`Service ${name} does not exist`);
      this.#options.send({ ...response, values: answer(args), result: true });
    } catch (error) {
      this.#options.send({ ...response, values: (error as Error).message, result: false });
    }
  }

  #pursue(name: string, { action, id, operation }: { action: unknown; id: string; operation: Operation }): void {
    const { graph, shared, send } = this.#options;
    const pursue = graph.actions[name];
    if (pursue === undefined) {
      return send({ op: "action_result", action, id, values: `Action ${name} does not exist`, status: 0, result: false });
    }
    const goal = pursue(asMessage(operation["args"]), (values) => {
      if (operation["feedback"] === true) send({ op: "action_feedback", action, id, values });
    });
    shared.goals.set(id, goal);
    void goal.done.then(({ status, values }) => {
      shared.goals.delete(id);
      send({ op: "action_result", action, id, values, status, result: true });
    });
  }

  #record(action: string, given: RosMessage): void {
    const kind = READS.has(action.split(" ", 1)[0] ?? "") ? "read" : "act";
    this.#options.ledger.record({ channel: "rosbridge", kind, action, arguments: given });
  }
}

/** As a node without a namespace does. */
function completeName(name: string): string {
  return `/${name}`.replaceAll(/\/+/g, "/");
}

function idOf(id: unknown): { id?: unknown } {
  return id === undefined ? {} : { id };
}

function asMessage(value: unknown): RosMessage {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as RosMessage) : {};
}
