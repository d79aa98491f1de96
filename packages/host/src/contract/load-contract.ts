import { dirname } from "node:path";
import { AppError, Contract } from "@hardshare/protocol";
import { parseYamlWith, readTextIfThere } from "@hardshare/runtime";

/** A contract as it was in force at one moment. */
export interface LoadedContract {
  contract: Contract;
  /** Text of the file: journalled with an instance, so that a restarted daemon ends it by the contract that it began with. */
  text: string;
  /** The file, for messages. */
  file: string;
  /** Folder of the file: relative paths in it start here. */
  folder: string;
}

/** @throws AppError `config_invalid`: one line for each problem with file, line, column, field and what was expected */
export function parseContract(text: string, file: string, folder: string): LoadedContract {
  return { contract: parseYamlWith(Contract, text, file), text, file, folder };
}

/** @throws AppError `not_configured` when there is no file, `config_invalid` as above */
export async function loadContract(path: string): Promise<LoadedContract> {
  const text = await readTextIfThere(path);
  if (text === undefined) {
    throw new AppError("not_configured", `the contract file ${path} is not there; an empty file is a contract that gives no hardware`);
  }
  return parseContract(text, path, dirname(path));
}
