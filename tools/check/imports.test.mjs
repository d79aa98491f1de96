import { describe, expect, test } from "vitest";
import { readFixture } from "./small-repository.fixture.mjs";
import { checkImports } from "./imports.mjs";
import { formatProblem } from "./problem.mjs";

/** What is wrong, one line for each problem. */
async function problemsOf(sources, changes) {
  return checkImports(await readFixture(sources, changes)).map(({ file, line, what }) => `${file}:${line} ${what}`);
}

test("a name that holds a whole module is not imported where all of it would come with it", async () => {
  const module = { module: "zod", name: "z", because: "it has fifty languages" };
  const sources = {
    "packages/low/src/index.ts": '/** Low. */\nimport * as z from "zod";\nexport const low = z;\n',
    "packages/low/src/a.ts": 'import { z as zod } from "zod";\nimport { string } from "zod";\nexport const a = [zod, string];\n',
  };
  expect(await problemsOf(sources, { namespaces: { modules: [module] } })).toEqual(["packages/low/src/a.ts:1 imports z of zod"]);
});

describe("what a room may import", () => {
  test("its own files, the rooms and modules of its list, and in tests the tools of tests", async () => {
    const problems = await problemsOf({
      "packages/high/src/index.ts": '/** High. */\nimport { low } from "@hardshare/low";\nimport "./part.ts";\nexport { low };\n',
      "packages/high/src/part.ts": 'export type Kit = import("@hardshare/kit").Kit;\nexport const load = () => import("@hardshare/kit");\n',
      "packages/high/src/part.test.ts":
        'import { test } from "vitest";\nimport "node:fs";\nimport "@hardshare/kit";\nimport "./a.fixture.ts";\nimport "./node/index.ts";\n',
      "packages/high/src/a.fixture.ts": 'import "node:fs";\n',
      "packages/high/src/node/index.ts": '/** Node. */\nimport "node:net";\nimport "../part.ts";\n',
    });
    expect(problems).toEqual([]);
  });

  test.each([
    ["a room that is not in its list", "packages/low/src/a.ts", 'import "@hardshare/high";', "imports @hardshare/high"],
    [
      "a type of a room that is not in its list",
      "packages/low/src/a.ts",
      'import type { H } from "@hardshare/high";',
      "imports @hardshare/high",
    ],
    ["a re-export", "packages/low/src/a.ts", 'export * from "@hardshare/high";', "imports @hardshare/high"],
    ["a module that is not in its list", "packages/low/src/a.ts", 'import "left-pad/deep";', "imports the module left-pad"],
    ["a scoped module", "packages/low/src/a.ts", 'import "@scope/pad/deep";', "imports the module @scope/pad"],
    ["Node's modules where browsers load it", "packages/high/src/a.ts", 'import "node:fs/promises";', "imports node:fs/promises"],
    ["Node's modules without node:", "packages/kit/src/a.ts", 'import "fs";', "imports fs"],
    [
      "a file inside another package",
      "packages/high/src/a.ts",
      'import "@hardshare/low/src/b.ts";',
      "imports @hardshare/low/src/b.ts, which is inside @hardshare/low",
    ],
    [
      "another package by a relative path",
      "packages/high/src/a.ts",
      'import "../../low/src/index.ts";',
      "imports ../../low/src/index.ts, which lies outside its package",
    ],
    [
      "its own package by name",
      "packages/high/src/a.ts",
      'import "@hardshare/high/node";',
      "imports its own package by name (@hardshare/high/node)",
    ],
    ["a path without .ts", "packages/high/src/a.ts", 'import "./b.js";', "imports ./b.js"],
    ["a fixture of tests", "packages/high/src/a.ts", 'import "./b.fixture.ts";', "imports ./b.fixture.ts"],
    ["a test", "packages/high/src/a.ts", 'import "./b.test.ts";', "imports ./b.test.ts"],
    ["another room of its package", "packages/high/src/a.ts", 'import "./node/index.ts";', "imports ./node/index.ts of the room high/node"],
    [
      "at its start what it may only load when needed",
      "packages/high/src/a.ts",
      'import "@hardshare/kit";',
      "imports @hardshare/kit at its start",
    ],
  ])("refuses %s", async (_name, path, text, what) => {
    const problems = await problemsOf({
      "packages/high/src/index.ts": "/** High. */\n",
      "packages/high/src/node/index.ts": "/** Node. */\n",
      "packages/kit/src/index.ts": "/** Kit. */\n",
      [path]: `\n${text}\n`,
    });
    expect(problems).toEqual([`${path}:2 ${what}`]);
  });

  test("a file in no room is reported", async () => {
    const problems = checkImports(await readFixture({ "packages/new/src/a.ts": "export {};\n" }));
    expect(problems).toMatchObject([{ file: "packages/new/src/a.ts", what: "lies in no room" }]);
  });
});

test("a problem says where, what, why and what to do", async () => {
  const [problem] = checkImports(await readFixture({ "packages/low/src/a.ts": 'import "node:fs";\n' }));
  expect(formatProblem(problem)).toMatchInlineSnapshot(`
    "packages/low/src/a.ts:1  imports node:fs
        why: it ships to browsers
        do:  low may import zod; move the code, or change architecture.json and say why in the commit"
  `);
});
