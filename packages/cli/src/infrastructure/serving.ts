import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import type { AppError } from "@hardshare/protocol";
import { createLogger, type Logger } from "@hardshare/runtime";
import type { CliContext, GlobalOptions } from "../context.ts";

/** The logger of a program that goes on running: JSON lines on standard error. */
export function programLogger(program: string, options: GlobalOptions): Logger {
  return createLogger(program, options.verbose ? "debug" : "info");
}

/**
 * Resolves when the program is asked to end.
 * @param failed settles when it can't go on by itself
 * @throws AppError that of `failed`
 */
export function untilInterrupted(context: CliContext, failed?: Promise<AppError>): Promise<void> {
  const { interrupted } = context;
  return new Promise((resolve, reject) => {
    if (interrupted.aborted) resolve();
    interrupted.addEventListener("abort", () => resolve(), { once: true });
    void failed?.then(reject);
  });
}

/** The data folder of a program, made if needed; its parents must let an unprivileged database user pass. */
export async function dataFolderFor(context: CliContext, given: string | undefined, name: string): Promise<string> {
  const folder = resolve(given ?? `${context.environment.dataRoot}/${name}`);
  await mkdir(folder, { recursive: true });
  return folder;
}
