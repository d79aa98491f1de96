/** The parts of a host daemon that know no network and no disk, for a simulation to put those of its own around them. */
export { HostCore } from "./daemon/host-core.ts";
export { parseContract } from "./contract/load-contract.ts";
export { orAborted } from "./engine/call-limits.ts";
export type { Engine } from "./engine/engine.ts";
export { FakeEngine } from "./engine/fake-engine.ts";
export * from "./instance/container-steps.ts";
export { untilUnstopped } from "./instance/end-actions.ts";
export type { InstanceParts } from "./instance/instance-parts.ts";
export type { InstanceWorks } from "./instance/instance-works.ts";
export * from "./instance/plan.ts";
export type { JournalFile } from "./journal/journal-file.ts";
export { Journal } from "./journal/journal.ts";
export { BOUND_WITHIN_MS, TOLD_BROKEN_AFTER_MS } from "./tunnels/instance-tunnel.ts";
export type { Tunnel, TunnelOptions } from "./tunnels/tunnel.ts";
