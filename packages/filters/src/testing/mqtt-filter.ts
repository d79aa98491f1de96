import type { AddressInfo, Server } from "node:net";
import { type Clock, silentLogger, systemClock } from "@hardshare/runtime";
import type { BrokerCredentials } from "../mqtt/connect-exchange.ts";
import { startMqttFilter } from "../mqtt/mqtt-filter.ts";
import { fixedRules } from "../rules/live-rules.ts";
import { parseMqttRules } from "../rules/mqtt-rules.ts";
import type { Judgement, RunningFilter } from "../run/filter-kind.ts";
import { makeLimits } from "./filter-world.ts";

interface Given {
  readonly rules?: string;
  readonly credentials?: BrokerCredentials;
  readonly onDecision?: (judgement: Judgement) => void;
  readonly clock?: Clock;
}

/** For tests: an `mqtt` filter before a broker of the test's own, which listens. */
export function startFilterBefore(broker: Server, given: Given = {}): Promise<RunningFilter> {
  const { rules = "default: allow", credentials = { username: undefined, password: undefined } } = given;
  const { onDecision = () => {}, clock = systemClock } = given;
  return startMqttFilter({
    host: "127.0.0.1",
    port: 0,
    broker: { host: "127.0.0.1", port: (broker.address() as AddressInfo).port },
    credentials,
    rules: fixedRules(parseMqttRules(rules, "test.yaml", makeLimits())),
    onDecision,
    clock,
    logger: silentLogger,
  });
}
