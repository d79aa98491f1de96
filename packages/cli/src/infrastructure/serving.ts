import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { createLogger, type Logger } from "@hardshare/runtime";
import type { CliContext, GlobalOptions, Invocation } from "../context.ts";

/** The logger of a program that goes on running: JSON lines on standard error. */
export function programLogger(program: string, options: GlobalOptions): Logger {
  return createLogger(program, options.verbose ? "debug" : "info");
}

/** Resolves when the program is asked to end. */
export function untilInterrupted({ interrupted }: CliContext): Promise<void> {
  return new Promise((resolve) => {
    if (interrupted.aborted) resolve();
    interrupted.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** After so long a program that is not ready says what it waits for. */
const TOLD_AFTER_MS = 3000;

/** Waits until a program is ready, or is asked to end; says what it waits for when that takes long. @returns whether it is ready */
export async function untilReady(
  { context, output }: Invocation,
  ready: Promise<unknown>,
  { asked, waitsFor }: { asked: Promise<void>; waitsFor: () => string },
): Promise<boolean> {
  using _told = context.clock.after(TOLD_AFTER_MS, () => output.progress(`waiting for ${waitsFor()}, until Ctrl-C`));
  await Promise.race([ready, asked]);
  return !context.interrupted.aborted;
}

/** The data folder of a program, made if needed; its parents must let an unprivileged database user pass. */
export async function dataFolderFor(context: CliContext, given: string | undefined, name: string): Promise<string> {
  const folder = resolve(given ?? `${context.environment.dataRoot}/${name}`);
  await mkdir(folder, { recursive: true });
  return folder;
}
