import { basename } from "node:path";
import { isTest } from "./repository.mjs";

const MAX_LINES = 400;
const MAX_MAIN_LINES = 60;
const EMPTY_WORDS = new Set(["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"]);
/** Tests of one file may be several: `http-filter.refusals.test.ts`. */
const KEBAB_CASE = /^[a-z0-9]+(?:-[a-z0-9]+)*(?:(?:\.[a-z0-9]+(?:-[a-z0-9]+)*)?\.test|\.fixture|\.bench|\.config)?\.[a-z]+$/;

/**
 * Sizes, names and opening comments of files.
 * @param {import("./repository.mjs").Repository} repository
 * @returns {import("./problem.mjs").Problem[]}
 */
export function checkFiles(repository) {
  return [...checkSizes(repository), ...checkNames(repository), ...checkOpenings(repository)];
}

function checkSizes({ files, architecture }) {
  const mayBeLong = new Set(architecture.longFiles.allowed.map(({ file }) => file));
  return files.flatMap(({ path, text }) => {
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
    if (basename(path) === "main.ts" && lines > MAX_MAIN_LINES) {
      return [
        {
          file: path,
          what: `has ${lines} lines, more than ${MAX_MAIN_LINES}`,
          why: "a main only reads its environment and starts something",
          todo: "move the rest into a function that takes what it needs",
        },
      ];
    }
    if (lines <= MAX_LINES || mayBeLong.has(path)) return [];
    return [
      {
        file: path,
        what: `has ${lines} lines, more than ${MAX_LINES}`,
        why: "it is probably two rooms in one",
        todo: "split it by concept; a table of data may go into `longFiles` of architecture.json, with the reason",
      },
    ];
  });
}

function checkNames({ files, packages }) {
  const edges = new Set(packages.flatMap(({ entries }) => [...entries.values()]));
  return files.flatMap(({ path }) => {
    const problems = [];
    const name = basename(path);
    if (!KEBAB_CASE.test(name))
      problems.push({ file: path, what: `is named ${name}`, why: "file names are kebab-case", todo: "rename it, like tunnel-target.ts" });
    const empty = path.split(/[^a-z]+/).find((word) => EMPTY_WORDS.has(word));
    if (empty)
      problems.push({
        file: path,
        what: `has the word "${empty}" in its path`,
        why: "it says nothing about what is inside",
        todo: "name it after the one concept it holds",
      });
    if (name === "index.ts" && !edges.has(path)) {
      problems.push({
        file: path,
        what: "is an index.ts inside a package",
        why: "an index stands only at a package's edge (its `exports`)",
        todo: "import the files themselves",
      });
    }
    return problems;
  });
}

function checkOpenings({ files }) {
  return files.flatMap(({ path, parsed, text }) => {
    if (parsed.syntaxError) return [{ file: path, what: `cannot be parsed: ${parsed.syntaxError}`, todo: "mend the syntax" }];
    if (text.trim() === "") return [{ file: path, what: "is empty", todo: "delete it" }];
    if (!/^(?:index|main)\.ts$/.test(basename(path)) || isTest(path) || parsed.opensWithDoc) return [];
    return [
      {
        file: path,
        line: 1,
        what: "does not open with a doc comment",
        why: "the reader first needs to know what the package is, who calls it and what it must not do",
        todo: "begin the file with /** … */",
      },
    ];
  });
}
