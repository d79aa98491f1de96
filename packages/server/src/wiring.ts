/** The parts of a server that know no network and no disk, for a simulation to put those of its own around them. */
export { ServerCore } from "./server-core.ts";
export { EstopService } from "./features/estops/estop-service.ts";
export { LockoutService } from "./features/lockouts/lockout-service.ts";
export { InstanceService } from "./features/instances/instance-service.ts";
export { LaunchService } from "./features/instances/launch-service.ts";
export type { PeerSocket } from "./channels/peer-channel.ts";
