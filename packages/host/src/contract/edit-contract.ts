/**
 * Edits the contract file of a deployment, for commands: comments, order and style stay, and a contract that would not
 * hold is not written. Called by `hardshare config`; it knows nothing of what the changes are for.
 */
import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AppError, Contract } from "@hardshare/protocol";
import {
  editYaml,
  lockFile,
  parseYamlWith,
  readTextIfThere,
  rewriteFileDurably,
  writeFileDurably,
  type YamlEdit,
} from "@hardshare/runtime";
import { parse } from "yaml";
import type * as z from "zod";
import { loadContract, type LoadedContract } from "./load-contract.ts";

/** Seconds for which another edit of the same file may take. */
const EDIT_WAIT_S = 30;
/** How often an edit is made anew because an editor, which knows no lock, wrote the file meanwhile. */
const MAX_ATTEMPTS = 5;

/** A contract as its file writes it. */
export type WrittenContract = z.input<typeof Contract>;

/** Edits that make a contract say what is wanted. None: it says that already. */
export type ContractChange = (contract: WrittenContract) => readonly YamlEdit[];

export interface EditedContract extends LoadedContract {
  /** Whether the file was changed. */
  isChanged: boolean;
}

/** A file that a contract names, in its folder. */
export interface FileBeside {
  name: string;
  text: string;
  /** Permission bits. */
  mode: number;
}

export interface EditOptions {
  /** Written before the contract that names them, once it is known to be valid. */
  filesBeside?: readonly FileBeside[];
  /** Looks at the contract before it is written; what it throws keeps the edit from being made. */
  check?: (contract: Contract) => Promise<void>;
}

/**
 * Changes a contract file: all changes or none, whatever happens meanwhile. Edits of several processes come one after the
 * other; a file that anything else wrote meanwhile is read anew. The file keeps its mode and owner, and a symbolic link
 * stays one.
 * @throws AppError `config_invalid` with file, line, column and field: the file is not valid as it is, or would not be
 *   afterwards; `not_configured` when there is none; `conflict` when another edit does not end,
 *   or a file that is there already says something else; what `change` throws
 */
export async function editContract(path: string, changes: readonly ContractChange[], options: EditOptions = {}): Promise<EditedContract> {
  await loadContract(path);
  const file = await realpath(path);
  await using lock = await lockFile(join(dirname(file), `.${basename(file)}.lock`), { waitS: EDIT_WAIT_S });
  if (lock === undefined) throw new AppError("conflict", `${path} is being edited by another command for ${EDIT_WAIT_S} s; try again`);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const before = await loadContract(path);
    const text = edit(before, changes);
    if (text === before.text) return { ...before, isChanged: false };
    const contract = parseYamlWith(Contract, text, path);
    await options.check?.(contract);
    for (const beside of options.filesBeside ?? []) await writeBeside(dirname(path), beside);
    if (await rewriteFileDurably(file, text, { unless: (now) => now !== before.text })) {
      return { ...before, contract, text, isChanged: true };
    }
  }
  throw new AppError("conflict", `${path} changes all the time; close the program that writes it, then try again`);
}

/** @throws AppError `conflict` when there is another file of this name */
async function writeBeside(folder: string, { name, text, mode }: FileBeside): Promise<void> {
  const path = join(folder, name);
  const now = await readTextIfThere(path);
  if (now === text) return;
  if (now !== undefined) throw new AppError("conflict", `${path} is there already, and says something else; move it away first`);
  await writeFileDurably(path, text, mode);
}

/** The text after all changes; each sees what those before it did, which need not be valid yet. */
function edit({ text, file }: LoadedContract, changes: readonly ContractChange[]): string {
  const edited = changes.reduce((now, change) => editYaml(now, change((parse(now) ?? {}) as WrittenContract), file), text);
  return edited === text ? text : checked(edited, file);
}

/** @throws AppError `config_invalid`: where, in the file as it would be */
function checked(text: string, file: string): string {
  try {
    parseYamlWith(Contract, text, file);
    return text;
  } catch (cause) {
    if (!(cause instanceof AppError)) throw cause;
    const problems = (cause.details["problems"] ?? []) as { field: string; expected: string }[];
    const told = problems.map(({ field, expected }) => `${field}: ${expected}`).join("; ");
    throw new AppError("config_invalid", `${file} was left as it is, because it would not be valid: ${told}`, {
      details: cause.details,
      cause,
    });
  }
}
