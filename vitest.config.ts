import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Node reads this file of certificates whenever it starts, which takes twice as long as all the rest of a start, and
 * tests start hundreds of programs. None of them speaks to strangers by TLS but npm, which is given it again.
 */
const extraCertificates = process.env["NODE_EXTRA_CA_CERTS"];
if (extraCertificates !== undefined) process.env["HARDSHARE_TEST_EXTRA_CA_CERTS"] = extraCertificates;
delete process.env["NODE_EXTRA_CA_CERTS"];

// Not "import": vitest hands these on to Node, where CommonJS packages would then get each other's ES modules.
const source = ["@hardshare/source", "node", "module"];
const buildProgram = "tools/test/build-program.mjs";
/** Starts nothing unless a test asks for it. */
const lender = "packages/testkit/src/lending/lender.ts";

/**
 * Files that take long, the longest first. Without the times of a run before, as in CI, vitest goes by the size of files:
 * then a short file that takes long begins last, and the other processors wait for it.
 */
const LONGEST = [
  "e2e/documents.test.ts",
  "attacks/http-attacks.test.ts",
  "e2e/network-modes.test.ts",
  "daemon/kill-walk.test.ts",
  "simulation/simulation.test.ts",
  "e2e/up.test.ts",
  "simulation/walk.test.ts",
  "daemon/hook-matrix.test.ts",
  "cluster/private-cluster.test.ts",
  "engine/engine.test.ts",
  "e2e/race.test.ts",
  "e2e/bad-line.test.ts",
  "e2e/bad-input.test.ts",
];

/**
 * Tests wait for processes, sockets and disks, so with one for each processor a third of a small machine would be idle. They
 * have nothing of the machine in common: no address, port, name or folder. Both projects are one group, so that none waits for
 * the last file of the other.
 */
const WORKERS = availableParallelism() + 1;

/** Vitest's order of files, but for those that take long: they begin first. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = LONGEST.findIndex((name) => moduleId.endsWith(`/${name}`));
      return index < 0 ? LONGEST.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

/** Tests run on the source of every package; what they start as processes of their own is built first. */
export default defineConfig({
  resolve: { conditions: source },
  ssr: { resolve: { conditions: source } },
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["packages/*/src/**/*.test.ts", "tools/**/*.test.mjs"],
          globalSetup: [buildProgram, lender],
          setupFiles: ["tools/set-up-properties.mjs"],
          testTimeout: 20_000,
          expect: { poll: { timeout: 10_000 } }, // not 1 s: other tests, and other people's, share the machine
          hookTimeout: 30_000,
          maxWorkers: WORKERS,
          // No module of ours keeps state, so files may share a worker: reading the source anew for each takes longer than most tests.
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["e2e/**/*.test.ts"],
          globalSetup: [buildProgram, lender, "e2e/harness/find-containers.ts"],
          testTimeout: 300_000, // ends what hangs, not what is slow: others may share the machine
          hookTimeout: 600_000,
          isolate: false, // as above
          maxWorkers: WORKERS,
        },
      },
    ],
  },
});
