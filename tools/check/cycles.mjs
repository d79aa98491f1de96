import { posix } from "node:path";
import { isTest } from "./repository.mjs";

/**
 * Cycles between files, and so between packages, at run time: types and `import()` may point back.
 * @param {import("./repository.mjs").Repository} repository
 * @returns {import("./problem.mjs").Problem[]}
 */
export function checkCycles({ files, packages }) {
  const entries = new Map(packages.flatMap((each) => [...each.entries]));
  const sources = new Map(files.filter((file) => !isTest(file.path)).map((file) => [file.path, file]));
  const done = new Set();
  /** @type {import("./problem.mjs").Problem[]} */
  const problems = [];

  /** @param {string} path @param {string[]} trail */
  function visit(path, trail) {
    const at = trail.indexOf(path);
    if (at !== -1) {
      const cycle = [...trail.slice(at), path];
      problems.push({
        file: cycle.at(-2) ?? path,
        what: `closes a cycle: ${cycle.join(" → ")}`,
        why: "files that need each other are one file, or hide a third; they load in an order that nobody chose",
        todo: "move what both need into a file of its own",
      });
      return;
    }
    if (done.has(path)) return;
    for (const { specifier, kind } of sources.get(path)?.parsed.imports ?? []) {
      if (kind !== "static") continue;
      const target = specifier.startsWith(".") ? posix.normalize(posix.join(posix.dirname(path), specifier)) : entries.get(specifier);
      if (target !== undefined && sources.has(target)) visit(target, [...trail, path]);
    }
    done.add(path);
  }

  for (const path of sources.keys()) visit(path, []);
  return problems;
}
