#!/usr/bin/env node
/**
 * `npm start`: sets up what a fresh checkout lacks (npm's packages, the build, Debian's packages), then is
 * `hardshare up`, in this same process, so that the supervisor is what npm started. Arguments are those of `up`.
 * Standard output is `up`'s alone.
 */
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BASE_PACKAGES, CONTAINER_PACKAGES, ensureSystemPackages, isRoot } from "./setup.mjs";
import { endCommands } from "./setup/commands.mjs";
import { build, ensureDependencies, nodeProblem } from "./setup/dependencies.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2);
const tell = (line) => process.stderr.write(`set-up: ${line}\n`);

const stops = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
const stopped = (signal) => {
  endCommands(signal);
  process.exit(stops[signal]);
};
for (const signal of Object.keys(stops)) process.on(signal, stopped);

if (await setUp()) {
  for (const signal of Object.keys(stops)) process.off(signal, stopped);
  const program = join(root, "packages/cli/bin/hardshare.js");
  process.argv = [process.execPath, program, "up", ...args];
  await import(pathToFileURL(program).href);
} else {
  process.exitCode = 1;
}

async function setUp() {
  const problem = nodeProblem();
  if (problem !== undefined) {
    tell(problem);
    return false;
  }
  if (!(await ensureDependencies(root, tell))) {
    tell("npm's packages could not be installed: see above; then start again");
    return false;
  }
  if (!(await build(root))) {
    tell("the build failed: see above");
    return false;
  }
  if (!args.includes("--help") && !args.includes("-h")) {
    const hasContainers = isRoot() && !args.includes("--no-container");
    const want = hasContainers ? [...BASE_PACKAGES, ...CONTAINER_PACKAGES] : BASE_PACKAGES;
    await ensureSystemPackages({ want, onProgress: tell });
  }
  return true;
}
