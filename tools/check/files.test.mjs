import { describe, expect, test } from "vitest";
import { checkCycles } from "./cycles.mjs";
import { checkFiles } from "./files.mjs";
import { readFixture } from "./small-repository.fixture.mjs";
import { checkProcessUse } from "./process-use.mjs";

const brief = (problems) => problems.map(({ file, line, what }) => `${file}${line ? `:${line}` : ""} ${what}`);
const lines = (count) => "//\n".repeat(count);

describe("files", () => {
  test("a long file is refused, unless it is listed as a table of data", async () => {
    const sources = { "packages/low/src/table.ts": lines(401), "packages/low/src/short.ts": lines(400) };
    const allowed = [{ file: "packages/low/src/table.ts", because: "data" }];
    expect(brief(checkFiles(await readFixture(sources)))).toEqual(["packages/low/src/table.ts has 401 lines, more than 400"]);
    expect(checkFiles(await readFixture(sources, { longFiles: { allowed } }))).toEqual([]);
  });

  test("a main has at most 60 lines", async () => {
    const problems = checkFiles(await readFixture({ "packages/low/src/main.ts": `/** Main. */\n${lines(60)}` }));
    expect(brief(problems)).toEqual(["packages/low/src/main.ts has 61 lines, more than 60"]);
  });

  test("empty words and other cases in names are refused, in folders too", async () => {
    const problems = checkFiles(
      await readFixture({
        "packages/low/src/string-utils.ts": "//\n",
        "packages/low/src/common/part.ts": "//\n",
        "packages/low/src/TunnelTarget.ts": "//\n",
        "packages/low/src/uncommon.ts": "//\n",
        "packages/low/src/two-words.of-them.test.ts": "//\n",
        "packages/low/src/two.words.ts": "//\n",
      }),
    );
    expect(brief(problems)).toEqual([
      "packages/low/src/TunnelTarget.ts is named TunnelTarget.ts",
      'packages/low/src/common/part.ts has the word "common" in its path',
      'packages/low/src/string-utils.ts has the word "utils" in its path',
      "packages/low/src/two.words.ts is named two.words.ts",
    ]);
  });

  test("an index stands only at a package's edge, and opens with what the package is", async () => {
    const problems = checkFiles(
      await readFixture({ "packages/low/src/index.ts": "export {};\n", "packages/low/src/deep/index.ts": "/** Deep. */\nexport {};\n" }),
    );
    expect(brief(problems)).toEqual([
      "packages/low/src/deep/index.ts is an index.ts inside a package",
      "packages/low/src/index.ts:1 does not open with a doc comment",
    ]);
  });

  test("a file that cannot be parsed, or is empty, is reported", async () => {
    const problems = checkFiles(await readFixture({ "packages/low/src/a.ts": "const = 1;\n", "packages/low/src/b.ts": "" }));
    expect(brief(problems)).toEqual([expect.stringContaining("packages/low/src/a.ts cannot be parsed"), "packages/low/src/b.ts is empty"]);
  });
});

describe("process", () => {
  test("only mains, tests and listed files touch environment, arguments, signals and the exit code", async () => {
    const text = [
      "process.env.HOME;",
      "globalThis.process.argv;",
      'process["exitCode"] = 1;',
      'process.once("SIGTERM", () => {});',
      "const { env } = process;",
      'import { argv } from "node:process";',
      "process.pid;",
      "own.process.env;",
    ].join("\n");
    const sources = Object.fromEntries(["part.ts", "main.ts", "part.test.ts", "dev.ts"].map((name) => [`packages/kit/src/${name}`, text]));
    const allowed = [{ file: "packages/kit/src/dev.ts", because: "a main" }];
    expect(brief(checkProcessUse(await readFixture(sources, { processUse: { allowed } }))).toSorted()).toEqual([
      "packages/kit/src/part.ts:1 uses process.env",
      "packages/kit/src/part.ts:2 uses process.argv",
      "packages/kit/src/part.ts:3 uses process.exitCode",
      "packages/kit/src/part.ts:4 uses process.once",
      "packages/kit/src/part.ts:5 uses process.env",
      "packages/kit/src/part.ts:6 uses process.(imported as a module)",
    ]);
  });
});

describe("cycles", () => {
  test("a cycle between files is reported once, with its way; types and import() may point back", async () => {
    const problems = checkCycles(
      await readFixture({
        "packages/low/src/a.ts": 'import "./b.ts";\n',
        "packages/low/src/b.ts": 'import "./c.ts";\n',
        "packages/low/src/c.ts": 'import "./a.ts";\n',
        "packages/low/src/d.ts": 'import "./e.ts";\n',
        "packages/low/src/e.ts": 'import type { D } from "./d.ts";\nimport("./d.ts");\n',
      }),
    );
    const cycle = ["a.ts", "b.ts", "c.ts", "a.ts"].map((name) => `packages/low/src/${name}`).join(" → ");
    expect(brief(problems)).toEqual([`packages/low/src/c.ts closes a cycle: ${cycle}`]);
  });

  test("a cycle between packages is reported", async () => {
    const problems = checkCycles(
      await readFixture({
        "packages/low/src/index.ts": '/** Low. */\nimport "@hardshare/high";\n',
        "packages/high/src/index.ts": '/** High. */\nimport "@hardshare/low";\n',
      }),
    );
    expect(problems).toHaveLength(1);
  });
});
