#!/usr/bin/env node
/**
 * `npm test`: sets up what a fresh checkout lacks (npm's packages, the build, Debian's packages), then runs all tests.
 * The last line is `N passed, N failed`, with `, N skipped` when tests were skipped; each of those is named with its
 * reason. Ends with 1 when anything failed or nothing ran. Arguments are those of vitest, and `--no-skips`: a skipped
 * test is a failure, except for a reason that no package can mend (run-tests.mjs names them).
 */
import { fileURLToPath } from "node:url";
import { BASE_PACKAGES, CONTAINER_PACKAGES, ensureSystemPackages, TEST_PACKAGES } from "./setup.mjs";
import { build, ensureDependencies, nodeProblem } from "./setup/dependencies.mjs";
import { describeSummary, isWell, runTests } from "./test/run-tests.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2).filter((arg) => arg !== "--no-skips");
const allowsSkips = !process.argv.includes("--no-skips");

const problem = await setUp();
if (problem === undefined) {
  const summary = await runTests(root, args);
  process.stdout.write(`\n${describeSummary(summary)}\n`);
  process.exitCode = isWell(summary, { allowsSkips }) ? 0 : 1;
} else {
  process.stderr.write(`set-up: ${problem}\n`);
  process.stdout.write(`${describeSummary({ passed: 0, failed: 1, skipped: [] })}\n`);
  process.exitCode = 1;
}

/** @returns {Promise<string | undefined>} what went wrong, and what to do */
async function setUp() {
  const tell = (line) => process.stderr.write(`set-up: ${line}\n`);
  const nodeIsWrong = nodeProblem();
  if (nodeIsWrong !== undefined) return nodeIsWrong;
  if (!(await ensureDependencies(root, tell))) return "npm's packages could not be installed: see above";
  if (!(await build(root))) return "the build failed: see above";
  // What is missing is told; the tests that need it say so again when they are skipped.
  await ensureSystemPackages({ want: [...BASE_PACKAGES, ...CONTAINER_PACKAGES, ...TEST_PACKAGES], onProgress: tell });
  return undefined;
}
