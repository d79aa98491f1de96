import { spawnSync } from "node:child_process";
import { describe } from "vitest";

/** Why instances can't be containers on this machine; undefined when they can, and always on CI, where none may be left out. */
const problem = findProblem();

function findProblem(): string | undefined {
  if (process.env["CI"] !== undefined) return undefined;
  if (process.geteuid?.() !== 0) return "containers need root";
  return spawnSync("podman", ["--version"]).status === 0 ? undefined : "podman is not installed";
}

/** Tests that need a container engine; left out by name where none can be had. */
export function describeWithContainers(name: string, tests: () => void): void {
  describe.skipIf(problem !== undefined)(problem === undefined ? name : `${name} (left out: ${problem})`, tests);
}
