/**
 * Filters: programs between an instance and a device that decide, message by message, what passes. The host starts them
 * (through the command line); they know nothing of hosts, servers or instances. A filter that fails passes nothing.
 */
export { httpFilterKind, rrhttpFilterKind } from "./http/http-filter-kind.ts";
export { checkRulesFile } from "./run/check-rules.ts";
export type { FilterKind } from "./run/filter-kind.ts";
export { mqttFilterKind } from "./mqtt/mqtt-filter-kind.ts";
export { rosbridgeFilterKind } from "./rosbridge/rosbridge-filter-kind.ts";
export { findOpeners } from "./serial/find-openers.ts";
export { serialFilterKind } from "./serial/serial-filter-kind.ts";
export { rpcFilterKind, rrpcFilterKind } from "./rpc/rpc-filter-kind.ts";
export { tcpFilterKind } from "./tcp/tcp-filter-kind.ts";
export { runFilter, type RunFilterOptions } from "./run/run-filter.ts";
export { learnRules } from "./learn/learn-rules.ts";
export { tryMessages } from "./trial/try-messages.ts";
export type { TriedMessage } from "./trial/trial.ts";
