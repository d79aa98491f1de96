import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { checkProgramFile } from "./program-file.ts";
import type { ProgramPlace } from "./program-place.ts";

/** Where programs are looked for when the environment does not say. */
const DEFAULT_PATH = "/usr/bin:/bin";

/** Splits a command line of a contract at blanks: no shell, no quoting. */
export function splitCommand(command: string): string[] {
  return command.trim().split(/\s+/);
}

/**
 * The argument vector of a program on this host. A program named with a slash counts from the contract's folder;
 * others are found on the PATH.
 * @throws AppError `program_failed` that says what to do when it cannot be run
 */
export async function resolveCommand(command: string, place: Pick<ProgramPlace, "folder" | "env">): Promise<string[]> {
  const [name = "", ...args] = splitCommand(command);
  if (name.includes("/")) {
    const path = isAbsolute(name) ? name : join(place.folder, name);
    await checkProgramFile(path);
    return [path, ...args];
  }
  const folders = (place.env["PATH"] ?? DEFAULT_PATH).split(delimiter);
  if (await hasProgram(folders, name)) return [name, ...args];
  const isBeside = await hasProgram([place.folder], name);
  const hint = isBeside ? `; one beside the contract is written ./${name}` : "";
  throw new AppError("program_failed", `there is no program ${name} on the PATH of the host daemon${hint}`);
}

async function hasProgram(folders: readonly string[], name: string): Promise<boolean> {
  for (const folder of folders) {
    const isThere = await access(join(folder, name), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return true;
  }
  return false;
}
