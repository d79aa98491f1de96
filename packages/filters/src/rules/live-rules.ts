import { readFile } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";

/** Rules that can be replaced while the filter runs: at one moment all of the old, at the next all of the new. */
export interface LiveRules<Rules> {
  /** The rules in force now: ask for each message. */
  readonly current: Rules;
  /** Reads the file again. @throws AppError `config_invalid`; the rules before then stay in force */
  reload(): Promise<void>;
}

/**
 * Reads a rules file.
 * @param parse makes rules of its text, and says what is wrong with file, line, column and field
 * @throws AppError `config_invalid`
 */
export async function readRules<Rules>(file: string, parse: (text: string, file: string) => Rules): Promise<LiveRules<Rules>> {
  const read = async () => parse(await readText(file), file);
  let current = await read();
  return {
    get current() {
      return current;
    },
    async reload() {
      current = await read();
    },
  };
}

/** Rules that stay as they are: of a filter without a file, or in a test. */
export function fixedRules<Rules>(current: Rules): LiveRules<Rules> {
  return { current, reload: async () => {} };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new AppError("config_invalid", `cannot read the rules file ${file}: ${(cause as Error).message}`, { details: { file }, cause });
  }
}
