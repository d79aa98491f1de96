import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { AppError } from "@hardshare/protocol";

/** Splits a command line of a contract at blanks: no shell, no quoting. */
export function splitCommand(command: string): string[] {
  return command.trim().split(/\s+/);
}

/**
 * The argument vector of a program on this host. A program named with a slash counts from the contract's folder;
 * others are found on the PATH.
 * @throws AppError `program_failed` when the file is missing or not executable
 */
export async function resolveCommand(command: string, folder: string): Promise<string[]> {
  const [name = "", ...args] = splitCommand(command);
  if (!name.includes("/")) return [name, ...args];
  const path = isAbsolute(name) ? name : join(folder, name);
  try {
    await access(path, constants.X_OK);
  } catch (cause) {
    const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new AppError(
      "program_failed",
      isMissing ? `the program ${path} is not there` : `the program ${path} cannot be executed: \`chmod +x ${path}\``,
      { cause },
    );
  }
  return [path, ...args];
}
