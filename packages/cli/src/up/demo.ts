import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import type { DemoEngine } from "./container-support.ts";

/** A deployment of the demo. */
export interface DemoDeployment {
  type: string;
  provider: DemoEngine | "proxy";
  desc: string;
  /** Text of its contract. */
  contract: string;
}

/** For editors; the schemas lie there since the registration. */
const SCHEMA_HINT = "# yaml-language-server: $schema=../schemas/contract.schema.json\n";
const RULES_FILE = "robot.rules.yaml";

/** The simulated robot behind a filter, without a container: what it refuses can be tried with `curl`. */
export function proxyDemo(robot: string): DemoDeployment {
  return {
    type: "sim_robot_http",
    provider: "proxy",
    desc: "simulated robot: its HTTP API behind a filter",
    contract: `${SCHEMA_HINT}# Contract of the demo's proxy deployment: the tunnel ends at a filter before the robot.
provider: proxy
public_port: true            # nobody is authenticated there: for the demo only
max_duration: 1h
${serviceOf(robot)}`,
  };
}

/** A container next to the simulated robot, which it reaches through the same filter and nothing else. */
export function containerDemo(robot: string, provider: DemoEngine): DemoDeployment {
  return {
    type: "sim_robot",
    provider,
    desc: "container beside the simulated robot ($ROBOT)",
    contract: `${SCHEMA_HINT}# Contract of the demo's container deployment: an isolated container that reaches the robot through a filter.
provider: ${provider}
image: localhost/hardshare/generic
network: isolated
limits: { memory: 512m, cpus: 1, pids: 256 }
max_duration: 1h
${serviceOf(robot)}`,
  };
}

/** Puts the demo's filter rules beside the contracts, unless they are there: their owner may have changed them. */
export async function placeDemoRules(contractsFolder: string): Promise<void> {
  const path = join(contractsFolder, RULES_FILE);
  if ((await readTextIfThere(path)) !== undefined) return;
  const { demoRulesPath } = await import("@hardshare/sim");
  await writeFileDurably(path, await readFile(demoRulesPath()));
}

function serviceOf(robot: string): string {
  return `services:
  - name: ROBOT
    filter: http
    target: ${robot}
    rules: ${RULES_FILE}
`;
}
