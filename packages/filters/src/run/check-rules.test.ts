import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkRulesFile } from "./check-rules.ts";

let file: string;
beforeAll(async () => {
  file = join(await mkdtemp(join(tmpdir(), "hardshare-check-")), "rules.yaml");
});
afterAll(() => rm(join(file, ".."), { recursive: true }));

test.each([
  ["http", "rules:\n  - allow: GET b\n", "2:12: rules.0.allow: "],
  ["http", "rules:\n  - { allow: POST /a, body: { type: nonsense } }\n", "2:"],
  ["rrhttp", "default: perhaps\n", "1:"],
  ["mqtt", "rules:\n  - allow: publish a/#/b\n", "2:12: rules.0.allow: "],
  ["mqtt", "rules:\n  - allow: subscribe a\n    retain: true\n", "3:13: rules.0.retain: "],
  ["mqtt", "rules:\n  - allow: publish a\n    clamp: { a: [0, 1] }\n", "3:12: rules.0.clamp: "],
  ["mqtt", "rules:\n  - { allow: publish a, payload: { type: nonsense } }\n", "2:"],
  ["serial", "rules:\n  - allow: '('\n", "2:12: rules.0.allow: "],
  ["rpc", "rules:\n  - { allow: GET /a, run: [./none] }\n", "2:28: rules.0.run.0: "],
  ["rrpc", "rules:\n  - { verb: GET, uri: /a, command: [] }\n", "2:36: rules.0.command: "],
  ["tcp", "rules:\n  - allow: 10.0.0\n", "2:12: rules.0.allow: "],
] as const)("rules of the %s filter that are wrong are told with file, line and column: %s", async (filter, text, place) => {
  await writeFile(file, text);
  const checking = checkRulesFile({ filter, file, clock: new ManualClock() });
  await expect(checking).rejects.toMatchObject({ code: "config_invalid", message: expect.stringContaining(`${file}:${place}`) });
});

test.each([
  ["http", ""],
  ["rrhttp", "default: block\nrules: []\n"],
  ["mqtt", ""],
  ["serial", ""],
  ["rpc", ""],
  ["rrpc", "rules: []\n"],
  ["tcp", ""],
] as const)("the least that may be in a rules file of the %s filter is right", async (filter, text) => {
  await writeFile(file, text);
  await checkRulesFile({ filter, file, clock: new ManualClock() });
});
