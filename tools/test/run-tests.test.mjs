import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { describeSummary, isWell, runTests } from "./run-tests.mjs";

// each test starts vitest itself, which takes seconds on a busy machine
vi.setConfig({ testTimeout: 60_000 });

/** Runs vitest on test files in a temporary folder. @param {Record<string, string>} files @param {string[]} args */
async function runOn(files, args = []) {
  const folder = await mkdtemp(join(tmpdir(), "hardshare-run-tests-"));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    return await runTests(folder, ["--globals", ...args], "ignore");
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("counts what passed, failed and was skipped, with the reasons", async () => {
  const summary = await runOn({
    "a.test.mjs": `
      test("passes", () => {});
      test("fails", () => { expect(1).toBe(2); });
      test("needs an engine", (context) => context.skip("no container engine"));
      describe.skip("later", () => { test("is marked", () => {}); });
      describe("broken", () => { beforeAll(() => { throw new Error("set-up"); }); test("never runs", () => {}); });
    `,
    "b.test.mjs": "throw new Error('this file cannot be read');",
  });
  expect(summary).toEqual({
    passed: 1,
    failed: 3,
    skipped: [
      { name: "a.test.mjs > needs an engine", reason: "no container engine" },
      { name: "a.test.mjs > later > is marked", reason: "marked in the test" },
      { name: "a.test.mjs > broken > never runs", reason: "marked in the test" },
    ],
  });
  expect(describeSummary(summary).split("\n").at(-1)).toBe("1 passed, 3 failed, 3 skipped");
});

test("an error outside of any test is a failure", async () => {
  const text =
    'test("passes", async () => { Promise.reject(new Error("nobody waits")); await new Promise((resolve) => setImmediate(resolve)); });';
  expect(await runOn({ "a.test.mjs": text })).toMatchObject({ passed: 1, failed: 1 });
});

test("a run without any test is a failure", async () => {
  expect(await runOn({ "a.test.mjs": "" })).toMatchObject({ passed: 0, failed: 1 });
  expect(await runOn({ "a.test.mjs": 'test("passes", () => {});' }, ["no-such-file"])).toMatchObject({ passed: 0, failed: 1 });
});

test("tests whose names were not asked for are not told as skipped", async () => {
  const text = 'test("this one", () => {}); test("another", () => {});';
  expect(await runOn({ "a.test.mjs": text }, ["-t", "this"])).toEqual({ passed: 1, failed: 0, skipped: [] });
});

test("a run in which all is well ends with one line of figures", () => {
  expect(describeSummary({ passed: 3, failed: 0, skipped: [] })).toBe("3 passed, 0 failed");
});

test("where nothing may be skipped, only a reason that no package can mend is allowed", () => {
  const run = (...reasons) => ({ passed: 1, failed: 0, skipped: reasons.map((reason) => ({ name: "a test", reason })) });
  expect(isWell(run("needs systemd as PID 1; here that is bash"), { allowsSkips: false })).toBe(true);
  expect(isWell(run("needs systemd as PID 1", "no container engine"), { allowsSkips: false })).toBe(false);
  expect(isWell(run("no container engine"), { allowsSkips: true })).toBe(true);
  expect(isWell({ ...run(), failed: 1 }, { allowsSkips: true })).toBe(false);
  expect(isWell({ ...run(), passed: 0 }, { allowsSkips: true })).toBe(false);
});
