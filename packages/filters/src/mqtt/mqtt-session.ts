import { MAX_DECISION_REASON_CHARS } from "@hardshare/protocol";
import type { LiveRules } from "../rules/live-rules.ts";
import { judgeMessage, judgeSubscription, type MessageVerdict } from "../rules/judge-mqtt.ts";
import type { CompiledMqttRules } from "../rules/mqtt-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { CLIENT_TOPIC_ALIASES } from "./connect-exchange.ts";
import { Malformed, Reason } from "./malformed.ts";
import type {
  ConnectPacket,
  FlowPacket,
  Message,
  Packet,
  PublishPacket,
  SubscribePacket,
  SubscriptionAnswer,
  UnsubscribePacket,
} from "./packets.ts";
import type { Properties } from "./properties.ts";
import { PublishFlow } from "./publish-flow.ts";
import { SubscriptionRequests } from "./subscription-requests.ts";
import { recordMessage, summariseMessage, summariseSubscription } from "./summary.ts";

/** A client that takes no such packet gets no reasons. */
const MOST_BYTES_OF_ANSWER = 8192;
/** Subscriptions of one connection at the same time. */
const MAX_SUBSCRIPTIONS = 1000;

export interface MqttSessionOptions {
  /** The client's, as it came. */
  readonly connect: ConnectPacket;
  readonly rules: LiveRules<CompiledMqttRules>;
  readonly toClient: (packet: Packet) => void;
  readonly toBroker: (packet: Packet) => void;
  readonly onDecision: (judgement: Judgement) => void;
  /** The client said that it leaves. */
  readonly onLeft: (how: "without will" | "with will") => void;
}

/**
 * One connection after both ends were connected: decides what of each packet passes, and answers what does not. It knows
 * no network. Each packet that passes is a new one, made of what was judged.
 */
export class MqttSession {
  readonly #options: MqttSessionOptions;
  readonly #in = new PublishFlow();
  readonly #out = new PublishFlow();
  readonly #requests = new SubscriptionRequests();
  readonly #subscribed = new Set<string>();
  readonly #aliases = new Map<number, string>();

  constructor(options: MqttSessionOptions) {
    this.#options = options;
  }

  /** @throws Malformed: the client breaks the protocol, and is to be cut */
  fromClient(packet: Packet): void {
    const { toBroker, toClient, onLeft } = this.#options;
    switch (packet.cmd) {
      case "publish":
        return this.#publish(packet);
      case "puback":
      case "pubrec":
      case "pubcomp":
        if (this.#out.takeAnswer(packet)) toBroker(withoutProperties(packet));
        return;
      case "pubrel":
        return this.#release(this.#in, packet, toBroker, toClient);
      case "subscribe":
        return this.#subscribe(packet);
      case "unsubscribe":
        return this.#unsubscribe(packet);
      case "pingreq":
        return toClient({ cmd: "pingresp" });
      case "disconnect":
        return onLeft(packet.reasonCode === Reason.SUCCESS ? "without will" : "with will");
      case "connect":
      case "connack":
      case "suback":
      case "unsuback":
      case "pingresp":
      case "auth":
        throw new Malformed(`a client that is connected cannot send ${packet.cmd.toUpperCase()}`, Reason.PROTOCOL_ERROR);
    }
  }

  /** @throws Malformed: the broker breaks the protocol, and the connection is to be cut */
  fromBroker(packet: Packet): void {
    const { toBroker, toClient } = this.#options;
    switch (packet.cmd) {
      case "publish":
        return this.#deliver(packet);
      case "puback":
      case "pubrec":
      case "pubcomp":
        if (this.#in.takeAnswer(packet)) toClient(withoutProperties(packet));
        return;
      case "pubrel":
        return this.#release(this.#out, packet, toClient, toBroker);
      case "suback":
      case "unsuback":
        return toClient({ ...packet, properties: {}, codes: this.#requests.complete(packet) });
      case "pingresp":
        return;
      case "connect":
      case "connack":
      case "subscribe":
      case "unsubscribe":
      case "pingreq":
      case "disconnect":
      case "auth":
        throw new Malformed(`the broker cannot send ${packet.cmd.toUpperCase()}`, Reason.PROTOCOL_ERROR);
    }
  }

  /** The will, judged now; undefined when there is none that passes. It is told to the broker as a message of its own. */
  takeWill(): PublishPacket | undefined {
    const { will } = this.#options.connect;
    if (will === undefined) return undefined;
    const { willDelayInterval: _, ...properties } = will.properties;
    const passing = this.#judge("publish", "will", { ...will, properties });
    if (passing === undefined) return undefined;
    let id = 0xffff;
    while (this.#isInUse(id)) id -= 1;
    return { cmd: "publish", ...passing, dup: false, id: passing.qos === 0 ? 0 : id };
  }

  #publish(packet: PublishPacket): void {
    const { toBroker, toClient } = this.#options;
    const { id, qos } = packet;
    const message = this.#resolve(packet);
    if (qos > 0 && this.#isInUse(id)) {
      if (packet.dup && this.#in.isOnItsWay(id)) return; // the first one came, because the line loses nothing
      throw new Malformed(`the packet identifier ${id} is in use`, Reason.PROTOCOL_ERROR);
    }
    const refuse = (because: string) => {
      if (qos === 0) return;
      const cmd = qos === 1 ? "puback" : "pubrec";
      if (this.#version === 5) return toClient({ cmd, id, reasonCode: Reason.NOT_AUTHORIZED, properties: this.#explain(because) });
      // Version 3.1.1 has no word for it: the message is acknowledged, and dropped.
      if (qos === 2) this.#in.awaitRelease(id);
      toClient({ cmd, id, reasonCode: Reason.SUCCESS, properties: {} });
    };
    const passing = this.#judge("publish", "publish", message, refuse);
    if (passing === undefined) return;
    this.#in.pass(id, qos);
    toBroker({ cmd: "publish", ...passing, dup: false, id });
  }

  /** With the topic that an alias stands for, and without the alias. */
  #resolve({ topic, payload, qos, retain, properties: { topicAlias: alias, ...properties } }: PublishPacket): Message {
    if (properties.subscriptionIdentifier !== undefined) {
      throw new Malformed("a client's PUBLISH cannot have a subscription identifier", Reason.PROTOCOL_ERROR);
    }
    if (alias === undefined) return { topic, payload, qos, retain, properties };
    if (alias < 1 || alias > CLIENT_TOPIC_ALIASES) {
      throw new Malformed(`the topic alias ${alias} is not one of 1 to ${CLIENT_TOPIC_ALIASES}`, Reason.TOPIC_ALIAS_INVALID);
    }
    if (topic !== "") this.#aliases.set(alias, topic);
    const meant = this.#aliases.get(alias);
    if (meant === undefined) throw new Malformed(`the topic alias ${alias} stands for no topic yet`, Reason.PROTOCOL_ERROR);
    return { topic: meant, payload, qos, retain, properties };
  }

  #deliver({ cmd, dup, id, ...message }: PublishPacket): void {
    const { toBroker, toClient } = this.#options;
    if (message.properties.topicAlias !== undefined) {
      throw new Malformed("the broker uses a topic alias, and was offered none", Reason.TOPIC_ALIAS_INVALID);
    }
    const passing = this.#judge("subscribe", "message", message, () => {
      if (message.qos === 0) return;
      if (message.qos === 2) this.#out.awaitRelease(id);
      toBroker({ cmd: message.qos === 1 ? "puback" : "pubrec", id, reasonCode: Reason.SUCCESS, properties: {} });
    });
    if (passing === undefined) return;
    this.#out.pass(id, message.qos);
    toClient({ cmd, ...passing, dup, id });
  }

  /** @returns the message as it passes; undefined, after `refuse`, when it does not */
  #judge(
    operation: "publish" | "subscribe",
    what: "publish" | "will" | "message",
    message: Message,
    refuse: (because: string) => void = () => {},
  ): Message | undefined {
    const rules = this.#options.rules.current;
    const verdict = judgeMessage(rules, operation, message);
    const because = verdict.decision === "block" ? verdict.because : verdict.changed;
    this.#options.onDecision({
      direction: operation === "publish" ? "in" : "out",
      rule: verdict.rule,
      decision: verdict.decision,
      mode: rules.mode,
      summary: summariseMessage(what, message),
      ...(because === undefined ? {} : { because }),
      message: recordMessage(message, verdict.recorded),
      ...(what === "will" ? { isSign: false } : {}), // the user is gone
    });
    // On trial nothing is changed either.
    if (rules.mode === "shadow") return message;
    if (verdict.decision === "allow") return verdict.message;
    refuse(verdict.because);
    return undefined;
  }

  #subscribe({ cmd, id, properties: { subscriptionIdentifier }, subscriptions }: SubscribePacket): void {
    this.#useId(id);
    const { onDecision, rules, toBroker } = this.#options;
    const { mode } = rules.current;
    const reasons: string[] = [];
    const codes = subscriptions.map((subscription) => {
      const isFull = !this.#subscribed.has(subscription.filter) && this.#subscribed.size >= MAX_SUBSCRIPTIONS;
      const verdict = isFull ? TOO_MANY : judgeSubscription(rules.current, subscription);
      const told = { direction: "in", rule: verdict.rule, decision: verdict.decision, mode: isFull ? "enforce" : mode } as const;
      onDecision({
        ...told,
        summary: summariseSubscription(subscription),
        ...(verdict.decision === "block" ? { because: verdict.because } : {}),
        message: { subscribe: subscription.filter, qos: subscription.qos },
        isSign: false, // programs subscribe by themselves when they connect again
      });
      if (verdict.decision === "block" && (mode === "enforce" || isFull)) {
        reasons.push(verdict.because);
        return this.#version === 4 ? Reason.UNSPECIFIED : isFull ? Reason.QUOTA_EXCEEDED : Reason.NOT_AUTHORIZED;
      }
      this.#subscribed.add(subscription.filter);
      return undefined;
    });
    const passing = subscriptions.filter((_, index) => codes[index] === undefined);
    const properties = this.#explain(reasons[0]);
    if (passing.length === 0) return this.#options.toClient({ cmd: "suback", id, properties, codes: codes as number[] });
    this.#requests.add(id, "suback", codes);
    toBroker({ cmd, id, properties: subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }, subscriptions: passing });
  }

  /** What was not subscribed to is answered here: the broker gets no topic filter that was not judged. */
  #unsubscribe({ cmd, id, filters }: UnsubscribePacket): void {
    this.#useId(id);
    const codes = filters.map((filter) => (this.#subscribed.delete(filter) ? undefined : Reason.NO_SUBSCRIPTION_EXISTED));
    const passing = filters.filter((_, index) => codes[index] === undefined);
    if (passing.length === 0) {
      const answer: SubscriptionAnswer = { cmd: "unsuback", id, properties: {}, codes: this.#version === 5 ? (codes as number[]) : [] };
      return this.#options.toClient(answer);
    }
    this.#requests.add(id, "unsuback", codes);
    this.#options.toBroker({ cmd, id, properties: {}, filters: passing });
  }

  #release(flow: PublishFlow, packet: FlowPacket, toReceiver: (packet: Packet) => void, toSender: (packet: Packet) => void): void {
    const next = flow.takeRelease(packet.id);
    if (next === "pass") return toReceiver(withoutProperties(packet));
    const reasonCode = next === "unknown" ? Reason.UNKNOWN_PACKET_ID : Reason.SUCCESS;
    toSender({ cmd: "pubcomp", id: packet.id, reasonCode, properties: {} });
  }

  #useId(id: number): void {
    if (this.#isInUse(id)) throw new Malformed(`the packet identifier ${id} is in use`, Reason.PROTOCOL_ERROR);
  }

  #isInUse(id: number): boolean {
    return this.#in.isOnItsWay(id) || this.#requests.isWaiting(id);
  }

  get #version() {
    return this.#options.connect.version;
  }

  /** The reason, for a client of version 5 that wants to know (§3.1.2.11.7). */
  #explain(because: string | undefined): Properties {
    const { requestProblemInformation: wanted, maximumPacketSize: mostBytes = MOST_BYTES_OF_ANSWER } = this.#options.connect.properties;
    const isWanted = this.#version === 5 && wanted !== 0 && mostBytes >= MOST_BYTES_OF_ANSWER;
    return isWanted && because !== undefined ? { reasonString: because.slice(0, MAX_DECISION_REASON_CHARS) } : {};
  }
}

const TOO_MANY = {
  decision: "block",
  rule: "strict",
  because: `one connection may have ${MAX_SUBSCRIPTIONS} subscriptions at most`,
} satisfies MessageVerdict;

/** What stands in them says nothing to the other side's program, and could say too much. */
function withoutProperties({ cmd, id, reasonCode }: FlowPacket): FlowPacket {
  return { cmd, id, reasonCode, properties: {} };
}
