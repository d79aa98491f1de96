import { type Clock, silentLogger, systemClock } from "@hardshare/runtime";
import mqtt from "mqtt";
import { startMqttFilter } from "../mqtt/mqtt-filter.ts";
import { parseMqttRules } from "../rules/mqtt-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { makeLimits } from "./filter-world.ts";

/** The broker that is filtered. */
interface Broker {
  readonly port: number;
  readonly credentials: { readonly username: string; readonly password: string };
}

/** For tests: an `mqtt` filter before a broker, whose rules can be replaced. */
export async function startMqttWorld({ port: brokerPort, credentials }: Broker, rules: string, clock: Clock = systemClock) {
  const decisions: Judgement[] = [];
  const limits = makeLimits(clock);
  const live = { current: parseMqttRules(rules, "test.yaml", limits), reload: async () => {} };
  const filter = await startMqttFilter({
    host: "127.0.0.1",
    port: 0,
    broker: { host: "127.0.0.1", port: brokerPort },
    credentials: { username: credentials.username, password: Buffer.from(credentials.password) },
    rules: live,
    onDecision: (judgement) => decisions.push(judgement),
    clock,
    logger: silentLogger,
  });
  const port = Number(filter.address.split(":").at(-1));
  const clients: mqtt.MqttClient[] = [];
  return {
    decisions,
    port,
    setRules: (next: string) => void (live.current = parseMqttRules(next, "test.yaml", limits)),
    /** A client of an ordinary library, connected. */
    async connect(options: mqtt.IClientOptions = {}): Promise<mqtt.MqttClient> {
      const chosen = { protocolVersion: 5, reconnectPeriod: 0, ...options } as mqtt.IClientOptions;
      const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, chosen, false);
      clients.push(client);
      return client;
    },
    /** What was refused, in short. */
    refused: () => decisions.filter(({ decision }) => decision === "block").map(({ summary, because }) => `${summary}: ${because}`),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.end(true);
      await filter[Symbol.asyncDispose]();
    },
  };
}
