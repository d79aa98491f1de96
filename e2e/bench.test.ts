/** That `npm run bench` runs: it is made of the harness of these tests, but is started without them. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runProgram } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { makeFolder } from "./harness/folder.ts";

test("a race is run on a system of its own, and its rows are written", async () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const folder = await makeFolder("bench");
  const rows = join(folder, "rows.json");
  const { VITEST: _, ...env } = process.env;
  const args = ["--import", "tsx", "--conditions=@hardshare/source", "bench/main.ts", "--short", "P19", "--json", rows];
  const { exitCode, stdout, stderr } = await runProgram(process.execPath, args, { cwd: root, env });
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  expect(stdout).toContain("host daemon at rest, memory");
  expect(JSON.parse(await readFile(rows, "utf8"))).toMatchObject({ rows: [{ race: "P19" }, { race: "P19" }] });
  await rm(folder, { recursive: true });
});
