import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { HEAP_GROWTH_OPTION } from "./heap-growth.ts";

test("the V8 of this Node knows the option for the growth of its heap", async () => {
  const { stderr } = await promisify(execFile)(process.execPath, [HEAP_GROWTH_OPTION, "--eval", ""]);
  expect(stderr).toBe("");
});
