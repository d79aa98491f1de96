import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSync, Visitor } from "oxc-parser";

/**
 * @typedef {object} FailureTest what a call of `testFailure` declares (e2e/harness/failure.ts)
 * @property {string} file
 * @property {string} name component and failure, by which its results are found
 * @property {string} component
 * @property {string} failure
 * @property {string} userSees
 * @property {string} survives
 * @property {string} promise
 * @property {string} recovery
 * @property {number} withinMs
 */

const FIELDS = ["component", "failure", "userSees", "survives", "promise", "recovery", "withinMs"];

/** The failures that the end-to-end tests bring about. @param {string} root @returns {Promise<FailureTest[]>} */
export async function readFailureTests(root) {
  const files = (await readdir(join(root, "e2e"))).filter((name) => name.endsWith(".test.ts")).sort();
  const tests = [];
  for (const name of files) tests.push(...parseFailureTests(`e2e/${name}`, await readFile(join(root, "e2e", name), "utf8")));
  return tests;
}

/** @param {string} file @param {string} text @returns {FailureTest[]} */
export function parseFailureTests(file, text) {
  const tests = [];
  new Visitor({
    CallExpression({ callee, arguments: [row] }) {
      if (callee.name !== "testFailure") return;
      const declared = Object.fromEntries((row?.properties ?? []).map(({ key, value }) => [key.name, value.value]));
      for (const field of FIELDS) {
        if (declared[field] === undefined)
          throw new Error(`${file}: a call of testFailure has no literal ${field}: its row is read from the source, so write it there`);
      }
      tests.push({ file, name: `${declared.component}: ${declared.failure}`, ...declared });
    },
  }).visit(parseSync(file, text).program);
  return tests;
}

/**
 * How tests and recorded results differ, as sentences; none when they agree.
 * @param {readonly FailureTest[]} tests @param {Record<string, number>} recoveredMs
 */
export function compareWithResults(tests, recoveredMs) {
  const names = new Set(tests.map(({ name }) => name));
  const twice = tests.filter(({ name }, index) => tests.findIndex((test) => test.name === name) !== index);
  return [
    ...twice.map(({ file, name }) => `${file}: another test declares "${name}" too`),
    ...tests.filter(({ name }) => recoveredMs[name] === undefined).map(({ file, name }) => `${file}: "${name}" was never recorded`),
    ...Object.keys(recoveredMs)
      .filter((name) => !names.has(name))
      .map((name) => `e2e/failures.json: "${name}" has no test any more`),
  ];
}
