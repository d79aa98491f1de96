import { access, constants } from "node:fs/promises";
import { isAbsolute, relative, resolve } from "node:path";
import { AppError, toAppError } from "@hardshare/protocol";
import { splitCommand } from "../programs/command-line.ts";
import { checkProgramFile } from "../programs/program-file.ts";

/** Where a command is given, and the contract that gets it. */
export interface GivenPlace {
  /** The current folder. */
  cwd: string;
  /** Folder of the contract. */
  folder: string;
  /** What it is given with, for messages. */
  field: string;
}

/**
 * A path given in a shell, as a contract has it: a relative one counts from the current folder where there is such a file
 * and is made absolute; otherwise from the contract's folder, as in the contract.
 */
export async function givenPath(path: string, { cwd }: Pick<GivenPlace, "cwd">): Promise<string> {
  return !isAbsolute(path) && (await isThere(resolve(cwd, path))) ? resolve(cwd, path) : path;
}

/**
 * The same for a command line whose program is named by a path.
 * @param isInside it runs in the container: what lies on this computer is copied in, and named from the contract's folder
 * @throws AppError `bad_input` when there is no such program, or it cannot be run
 */
export async function givenCommand(command: string, place: GivenPlace, isInside = false): Promise<string> {
  const [program = "", ...args] = splitCommand(command);
  if (!program.includes("/") || (isInside && isAbsolute(program))) return command;
  const path = await givenPath(program, place);
  const file = resolve(place.folder, path);
  try {
    await (isInside ? access(file, constants.R_OK) : checkProgramFile(file));
  } catch (cause) {
    const why = isInside ? `there is no file ${file}` : toAppError(cause).message;
    throw new AppError("bad_input", `${place.field}: ${why}`, { details: { field: place.field }, cause });
  }
  return [isInside ? fromFolder(place.folder, file) : path, ...args].join(" ");
}

function fromFolder(folder: string, file: string): string {
  const path = relative(folder, file);
  return path.startsWith("../") ? path : `./${path}`;
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
