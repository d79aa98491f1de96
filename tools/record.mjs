#!/usr/bin/env node
/**
 * `npm run record`: runs the tests of failures, long ones too, writes how long each took to recover to e2e/failures.json,
 * and makes docs/what-happens-when.md from it. Takes minutes; needs what `npm test` needs, and a built checkout.
 */
import { spawnSync } from "node:child_process";
import { cpus } from "node:os";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readFailureTests } from "./gen/failure-tests.mjs";
import { runTests } from "./test/run-tests.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const file = join(root, "e2e/failures.json");
const before = await readFile(file, "utf8");
const tests = await readFailureTests(root);
const date = new Date().toISOString().slice(0, 10);
const recordedOn = `on ${date} with Node ${process.versions.node} on ${cpus().length} processors`;
await writeFile(file, JSON.stringify({ recordedOn, recoveredMs: {} }));
process.env["HARDSHARE_RECORD"] = "1";
process.env["HARDSHARE_LONG"] = "1";
const { failed } = await runTests(root, ["--project", "e2e", "--no-file-parallelism", ...new Set(tests.map((test) => test.file))]);
if (failed > 0) {
  await writeFile(file, before);
  process.stderr.write("nothing was recorded: see above for what failed\n");
  process.exitCode = 1;
} else {
  process.exitCode = spawnSync("npm", ["run", "--silent", "gen"], { cwd: root, stdio: "inherit" }).status ?? 1;
}
