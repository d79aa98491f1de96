import { expect, test } from "vitest";
import { type ProgramResult, runProgramList } from "./lifecycle-programs.ts";

test("a program that cannot be killed locks the deployment out, whatever its entry says; at the end the others still run", async () => {
  const ran: string[] = [];
  const run = async ({ run }: { run: string }): Promise<ProgramResult> => {
    ran.push(run);
    return run === "stuck" ? { isOk: false, message: "stuck: process 7 cannot be killed", log: "", isLeft: true } : { isOk: true };
  };
  const programs = [{ run: "stuck", on_fail: "warn" as const }, { run: "next" }];
  const failure = { message: "stuck: process 7 cannot be killed", details: { locks: true } };
  await expect(runProgramList("terminate", programs, run, () => {})).rejects.toMatchObject(failure);
  expect(ran).toEqual(["stuck", "next"]);
  await expect(runProgramList("init", programs, run, () => {})).rejects.toMatchObject(failure);
  expect(ran).toEqual(["stuck", "next", "stuck"]);
});
