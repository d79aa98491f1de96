import { spawn } from "node:child_process";
import { checkCycles } from "./cycles.mjs";
import { checkFiles } from "./files.mjs";
import { checkImports } from "./imports.mjs";
import { formatProblem } from "./problem.mjs";
import { checkProcessUse } from "./process-use.mjs";
import { readRepository } from "./repository.mjs";

/**
 * @typedef {object} Outcome
 * @property {string} name
 * @property {number} ms
 * @property {string} report empty when all is well
 */

/** Programs of others, each with what to do about what it finds. */
const PROGRAMS = [
  { name: "format", command: ["oxfmt", "--check", "."], todo: "npm run fix" },
  { name: "lint", command: ["oxlint", "--type-aware", "--deny-warnings"], todo: "mend it; `npm run fix` mends some" },
  { name: "types", command: ["tsc", "-b", "--pretty", "false"], todo: "mend the types" },
  { name: "types of tests", command: ["tsc", "-p", "tsconfig.tests.json", "--pretty", "false"], todo: "mend the types" },
  { name: "unused code", command: ["knip", "--no-progress", "--no-config-hints"], todo: "delete it, or use it" },
  { name: "generated files", command: ["npm", "run", "--silent", "gen", "--", "--check"], todo: "npm run gen" },
];

/**
 * Runs every check.
 * @param {string} root the repository
 * @param {(text: string) => void} print
 * @returns {Promise<boolean>} whether all is well
 */
export async function runChecks(root, print) {
  const programs = PROGRAMS.map((program) => runProgram(root, program));
  const outcomes = [...(await runOwnChecks(root)), ...(await Promise.all(programs))];
  for (const { name, report } of outcomes) if (report !== "") print(`── ${name} ${"─".repeat(Math.max(0, 70 - name.length))}\n${report}\n`);
  for (const { name, ms, report } of outcomes) print(`${report === "" ? "ok  " : "FAIL"} ${name} (${ms} ms)`);
  const failed = outcomes.filter(({ report }) => report !== "").length;
  print(failed === 0 ? `${outcomes.length} checks passed` : `${failed} of ${outcomes.length} checks failed`);
  return failed === 0;
}

/** The checks that are ours, on one reading of the repository. @param {string} root @returns {Promise<Outcome[]>} */
async function runOwnChecks(root) {
  const repository = await readRepository(root);
  const checks = {
    "import directions": checkImports,
    "import cycles": checkCycles,
    "use of process": checkProcessUse,
    "names, sizes, opening comments": checkFiles,
  };
  return Object.entries(checks).map(([name, check]) => {
    const start = performance.now();
    const problems = check(repository);
    return { name, ms: Math.round(performance.now() - start), report: problems.map(formatProblem).join("\n") };
  });
}

/** @returns {Promise<Outcome>} */
function runProgram(root, { name, command: [program, ...args], todo }) {
  const start = performance.now();
  const path = `${root}/node_modules/.bin:${process.env.PATH}`;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, PATH: path, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const collect = (chunk) => (output += chunk);
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const finish = (failure) => {
      const report = failure === undefined ? "" : `${output.trim()}\n${failure}\ndo: ${todo}`.trim();
      resolve({ name, ms: Math.round(performance.now() - start), report });
    };
    child.once("error", (error) => finish(`${program} cannot be run (${error.message}); run npm ci first`));
    child.once("close", (code) => finish(code === 0 ? undefined : `${program} ended with ${code}`));
  });
}
