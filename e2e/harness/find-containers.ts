/**
 * Vitest's global set-up of `e2e`: finds out, as a newcomer would, whether instances can be containers on this machine,
 * before tests that need them are collected.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { RunningCommand } from "./commands.ts";
import { makeFolder } from "./folder.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Why `hardshare up` offers no container deployment here; undefined when it does. */
    containerProblem: string | undefined;
  }
}

export default async function setUp(project: TestProject): Promise<void> {
  // On CI nothing may be left out: what is missing there is a failure, and need not be looked for.
  project.provide("containerProblem", process.env["CI"] === undefined ? await findProblem() : undefined);
}

async function findProblem(): Promise<string | undefined> {
  const folder = await makeFolder("up");
  const args = ["up", "--data-dir", join(folder, "up"), "--port", "0"];
  const up = new RunningCommand<{ deployments: { provider: string }[] }>(args, { HOME: join(folder, "home") });
  try {
    const { deployments } = await up.ready;
    if (deployments.some(({ provider }) => provider === "podman")) return undefined;
  } finally {
    await up.stop();
    await rm(folder, { recursive: true, force: true });
  }
  const said = up.log.split("\n").findLast((line) => line.startsWith('{"error":'));
  if (said === undefined) return "`up` offers no container deployment";
  return (JSON.parse(said) as { error: { message: string } }).error.message;
}
