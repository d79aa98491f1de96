import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readRules } from "./live-rules.ts";

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-rules-"));
  file = join(folder, "rules.yaml");
  await writeFile(file, "one");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const parse = (text: string) => {
  if (text === "wrong") throw new Error("wrong at line 1");
  return { text };
};

test("rules are replaced as a whole when the file is read again", async () => {
  const rules = await readRules(file, parse);
  const before = rules.current;
  await writeFile(file, "two");
  expect(rules.current).toBe(before);
  await rules.reload();
  expect(rules.current).toEqual({ text: "two" });
  expect(before).toEqual({ text: "one" });
});

test("when the file is wrong, or gone, those before stay in force", async () => {
  const rules = await readRules(file, parse);
  await writeFile(file, "wrong");
  await expect(rules.reload()).rejects.toThrow("wrong at line 1");
  await rm(file);
  await expect(rules.reload()).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining("cannot read the rules file"),
  });
  expect(rules.current).toEqual({ text: "one" });
});
