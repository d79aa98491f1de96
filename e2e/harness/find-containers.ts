/**
 * Vitest's global set-up of `e2e`: finds out, as a newcomer would, whether instances can be containers on this machine,
 * before tests that need them are collected.
 */
import type { TestProject } from "vitest/node";
import { World } from "./world.ts";

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
  await using world = await World.create();
  if (world.ready.deployments.some(({ provider }) => provider === "podman")) return undefined;
  const said = world.up.log.split("\n").findLast((line) => line.startsWith('{"error":'));
  if (said === undefined) return "`up` offers no container deployment";
  return (JSON.parse(said) as { error: { message: string } }).error.message;
}
