import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkPrograms } from "./check-programs.ts";
import { parseContract } from "./load-contract.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-programs-"));
  await writeFile(join(folder, "good.sh"), "#!/bin/sh\n", { mode: 0o755 });
  await writeFile(join(folder, "plain.sh"), "#!/bin/sh\n", { mode: 0o644 });
});
afterEach(() => rm(folder, { recursive: true }));

const check = (text: string) => checkPrograms(parseContract(text, "robot.yaml", folder), { PATH: "/usr/bin:/bin" });

test("programs that can be run are passed over, on the PATH as well as beside the contract", async () => {
  await check("init: [./good.sh 1 2]\nterminate: ['true']\nbaseline: [{ run: sh -c x }]\nsafe_state: [./good.sh]\n");
});

test("each program that cannot be run is told with its place, and what to do", async () => {
  const text = "init: [./nothing.sh]\nterminate:\n  - ./good.sh\n  - { run: ./plain.sh, timeout: 5s }\nsafe_state: [stop-it-now]\n";
  const message = [
    `robot.yaml:1:8: init.0: the program ${folder}/nothing.sh is not there`,
    `robot.yaml:4:5: terminate.1: the program ${folder}/plain.sh cannot be executed: \`chmod +x ${folder}/plain.sh\``,
    "robot.yaml:5:14: safe_state.0: there is no program stop-it-now on the PATH of the host daemon",
  ].join("\n");
  await expect(check(text)).rejects.toMatchObject({ code: "config_invalid", message });
});

test("what an entry waives, and what runs in the container, is not looked at", async () => {
  await check("init_inside: [./nothing.sh]\nterminate: [{ run: ./nothing.sh, on_fail: warn }]\n");
});
