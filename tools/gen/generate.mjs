import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { jsonSchemas } from "@hardshare/protocol";
import { checksPage } from "./checks-page.mjs";
import { cliPage } from "./cli-page.mjs";
import { contractPage } from "./contract-page.mjs";
import { errorsPage } from "./errors-page.mjs";
import { compareWithResults, readFailureTests } from "./failure-tests.mjs";
import { failuresPage } from "./failures-page.mjs";
import { importTable } from "./import-table.mjs";
import { fillMarker } from "./markdown.mjs";
import { rulesPage } from "./rules-page.mjs";

/**
 * Everything that is generated.
 * @param {string} root
 * @returns {Promise<Map<string, string>>} path from the root → content
 */
export async function generate(root) {
  const architecture = JSON.parse(await readFile(join(root, "architecture.json"), "utf8"));
  const failures = await readFailureTests(root);
  const results = JSON.parse(await readFile(join(root, "e2e/failures.json"), "utf8"));
  const differences = compareWithResults(failures, results.recoveredMs);
  if (differences.length > 0) throw new Error(`${differences.join("\n")}\nRun \`npm run record\``);
  const map = await readFile(join(root, "ARCHITECTURE.md"), "utf8");
  return new Map([
    ["docs/reference/checks.md", checksPage()],
    ["docs/reference/cli.md", cliPage()],
    ["docs/reference/errors.md", errorsPage()],
    ...Object.entries(jsonSchemas()).map(([name, schema]) => [`docs/reference/${name}`, `${JSON.stringify(schema, undefined, 2)}\n`]),
    ["docs/reference/contract.md", contractPage()],
    ["docs/reference/filter-rules.md", rulesPage()],
    ["docs/what-happens-when.md", failuresPage(failures, results)],
    ["ARCHITECTURE.md", fillMarker(map, "imports", importTable(architecture))],
  ]);
}
