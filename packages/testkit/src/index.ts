/**
 * A whole world in one process: server, hub, host, robot. For integration tests and for `npm run dev`; imported by
 * nothing that ships.
 */
export { bootWorld, type ContractFor, proxyContract, type World, type WorldOptions } from "./world.ts";
