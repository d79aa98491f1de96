import { writeFileSync } from "node:fs";

/** Names the file that the summary is written to. */
export const SUMMARY_VARIABLE = "HARDSHARE_TEST_SUMMARY";

/** Reason of a test that was skipped without a word of its own: by `.skip`, or because its name was not asked for. */
export const MARKED = "marked in the test";

/**
 * @typedef {object} Summary
 * @property {number} passed
 * @property {number} failed tests that failed, files that could not be read, errors outside of tests
 * @property {{ name: string, reason: string }[]} skipped
 */

/** Vitest reporter that leaves the figures of a run in a file, for tools/test.mjs to print as its last line. */
export default class SummaryReporter {
  onTestRunEnd(testModules, unhandledErrors) {
    /** @type {Summary} */
    const summary = { passed: 0, failed: unhandledErrors.length, skipped: [] };
    for (const testModule of testModules) {
      const suites = [testModule, ...testModule.children.allSuites()];
      summary.failed += suites.filter((suite) => suite.errors().length > 0).length;
      for (const test of testModule.children.allTests()) {
        const { state, note } = test.result();
        if (state === "passed") summary.passed += 1;
        else if (state === "skipped")
          summary.skipped.push({ name: `${testModule.relativeModuleId} > ${test.fullName}`, reason: note ?? MARKED });
        else summary.failed += 1; // also `pending`: it never came to its end
      }
    }
    writeFileSync(process.env[SUMMARY_VARIABLE], JSON.stringify(summary));
  }
}
