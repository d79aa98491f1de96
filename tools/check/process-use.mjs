import { basename } from "node:path";
import { isTest } from "./repository.mjs";

/**
 * Only a program's main reads the environment and arguments, installs signal handlers or sets the exit code: all else
 * gets what it needs as arguments, so that tests can run many of it in one process.
 * @param {import("./repository.mjs").Repository} repository
 * @returns {import("./problem.mjs").Problem[]}
 */
export function checkProcessUse({ files, architecture }) {
  const allowed = new Set(architecture.processUse.allowed.map(({ file }) => file));
  return files.flatMap(({ path, parsed }) => {
    if (!path.startsWith("packages/") || basename(path) === "main.ts" || isTest(path) || allowed.has(path)) return [];
    return parsed.processUses.map(({ member, line }) => ({
      file: path,
      line,
      what: `uses process.${member}`,
      why: "only main.ts touches the environment, arguments, signals and the exit code; all else takes them as arguments",
      todo: "pass it in from main.ts",
    }));
  });
}
