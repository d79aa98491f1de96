import { describe, inject } from "vitest";

/** Tests that need a container engine; left out by name, with what `hardshare up` says, where it offers no container deployment. */
export function describeWithContainers(name: string, tests: () => void): void {
  const problem = inject("containerProblem");
  describe.skipIf(problem !== undefined)(problem === undefined ? name : `${name} (left out: ${problem})`, tests);
}
