import { AppError } from "@hardshare/protocol";
import { runProgram } from "@hardshare/runtime";
import type { PodmanSetup } from "../engine/podman-setup.ts";

/** Runs a short podman command; returns its output, or undefined when it answers no. */
export async function askPodman(setup: PodmanSetup, args: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  const result = await runProgram(setup.podman, args, { env: setup.environment, cwd: "/", signal });
  return result.exitCode === 0 ? result.stdout.trim() : undefined;
}

/** Runs a short podman command that has to succeed. Throws `engine_failed` with podman's words. */
export async function tellPodman(setup: PodmanSetup, args: readonly string[], signal: AbortSignal): Promise<string> {
  const result = await runProgram(setup.podman, args, { env: setup.environment, cwd: "/", signal });
  if (result.exitCode !== 0) throw new AppError("engine_failed", `podman ${args[0]} failed: ${result.stderr.trim()}`);
  return result.stdout.trim();
}
