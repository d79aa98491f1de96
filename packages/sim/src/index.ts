/**
 * A simulated robot with an HTTP API, a serial line, a rosbridge, a camera and a ledger of all that reached it: the device of the demo
 * and the oracle of tests. It stands for hardware, so it knows nothing of hardshare.
 */
export { demoRulesPath } from "./demo-rules.ts";
export type { LedgerEntry } from "./ledger.ts";
export { type Robot, type RobotOptions, startRobot } from "./robot.ts";
