import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

// Not "import": vitest hands these on to Node, where CommonJS packages would then get each other's ES modules.
const source = ["@hardshare/source", "node", "module"];
/** Starts nothing unless a test asks for it. */
const dockerDoor = "packages/testkit/src/docker/docker-door.ts";

/** Tests run on the source of every package: no build is needed, except for `e2e`, which runs what users run. */
export default defineConfig({
  resolve: { conditions: source },
  ssr: { resolve: { conditions: source } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "tools/**/*.test.mjs"],
          globalSetup: [dockerDoor],
          setupFiles: ["tools/set-up-properties.mjs"],
          testTimeout: 20_000,
          expect: { poll: { timeout: 10_000 } }, // not 1 s: other tests, and other people's, share the machine
          hookTimeout: 30_000,
          // These wait for processes and sockets more than they compute: one worker would leave a small machine idle.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          // No module of ours keeps state, so files may share a worker: reading the source anew for each takes longer than most tests.
          isolate: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          globalSetup: [dockerDoor, "e2e/harness/find-containers.ts"],
          testTimeout: 300_000, // ends what hangs, not what is slow: others may share the machine
          hookTimeout: 600_000,
          // They wait more than they compute, and have nothing of the machine in common: no address, port, name or folder.
          maxWorkers: Math.max(2, availableParallelism()),
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
