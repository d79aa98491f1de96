import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MARKED, SUMMARY_VARIABLE } from "./summary-reporter.mjs";

const REPORTER = fileURLToPath(new URL("summary-reporter.mjs", import.meta.url));

/**
 * Runs vitest and tells what came out, also when vitest itself breaks down.
 * @param {string} root folder of vitest's configuration
 * @param {string[]} args filters and options of vitest
 * @param {"inherit" | "ignore"} [output] where vitest's own report goes
 * @returns {Promise<import("./summary-reporter.mjs").Summary>}
 */
export async function runTests(root, args, output = "inherit") {
  const folder = await mkdtemp(join(tmpdir(), "hardshare-tests-"));
  const file = join(folder, "summary.json");
  try {
    const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
    const child = spawn(process.execPath, [vitest, "run", "--reporter=default", `--reporter=${REPORTER}`, ...args], {
      cwd: root,
      env: { ...process.env, [SUMMARY_VARIABLE]: file },
      stdio: ["ignore", output, output],
    });
    const [exitCode] = await once(child, "close");
    const summary = await readSummary(file);
    // who asks for tests by name does not want to hear of all others
    const isByName = args.some((arg) => /^(?:-t|--testNamePattern)/.test(arg));
    if (isByName) summary.skipped = summary.skipped.filter(({ reason }) => reason !== MARKED);
    // vitest also ends with an error for what no test shows, such as a coverage threshold or no test at all
    if (exitCode !== 0 && summary.failed === 0) summary.failed = 1;
    return summary;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Reasons, or their beginnings, for which a test may be left out where all must run: what no package can bring. */
const ALLOWED_REASONS = ["needs systemd as PID 1"];

/**
 * Whether a run is well.
 * @param {import("./summary-reporter.mjs").Summary} summary
 * @param {{ allowsSkips: boolean }} options false: a skipped test is a failure, except for an allowed reason
 */
export function isWell({ passed, failed, skipped }, { allowsSkips }) {
  const isAllowed = ({ reason }) => allowsSkips || ALLOWED_REASONS.some((allowed) => reason.startsWith(allowed));
  return failed === 0 && passed > 0 && skipped.every(isAllowed);
}

/** The last lines of a run: what was skipped and why, then the figures. @param {import("./summary-reporter.mjs").Summary} summary */
export function describeSummary({ passed, failed, skipped }) {
  const figures = [`${passed} passed`, `${failed} failed`, ...(skipped.length > 0 ? [`${skipped.length} skipped`] : [])];
  return [...skipped.map(({ name, reason }) => `skipped: ${name} (${reason})`), figures.join(", ")].join("\n");
}

/** @param {string} file @returns {Promise<import("./summary-reporter.mjs").Summary>} */
async function readSummary(file) {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch {
    return { passed: 0, failed: 1, skipped: [] };
  }
}
