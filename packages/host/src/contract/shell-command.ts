import { createHash } from "node:crypto";
import type { FileBeside } from "./edit-contract.ts";

/** Lists of a contract whose programs the existing host client hands to a shell. */
export type ProgramList = "init_inside" | "terminate" | "monitors";

/** What only a shell understands (POSIX.1-2017, shell command language, 2.2 and 2.6), and what is none of it: an assignment. */
const NEEDS_SHELL =
  /[|&;<>()$`\\"'*?[\]#~!{}\n]|^\s*[A-Za-z_]\w*=|^\s*(?:if|for|while|until|case|cd|\.|exec|export|set|source|umask|trap)(?:\s|$)/;

/** A command as a contract has it, with the file that it takes. */
export interface ContractProgram {
  /** The command line, split at blanks without a shell. */
  run: string;
  /** A script beside the contract that runs a command for which it takes a shell. */
  script?: FileBeside;
}

/**
 * A command that was written for a shell, as a program of a contract. The name of its script comes of what it says: the
 * same command is the same program.
 * @param contractName name of the contract file, by which scripts of several contracts in a folder are told apart
 * @param options.isForShell writes a script also where a contract could name the program itself
 */
export function programOfCommand(
  command: string,
  { list, contractName, isForShell = false }: { list: ProgramList; contractName: string; isForShell?: boolean },
): ContractProgram {
  const line = command.trim();
  if (!isForShell && !NEEDS_SHELL.test(line)) return { run: line };
  const hash = createHash("sha256").update(line).digest("hex").slice(0, 8);
  const name = `${contractName.replace(/\.ya?ml$/, "")}.${list}-${hash}.sh`;
  return { run: `./${name}`, script: { name, text: `#!/bin/sh\n${line}\n`, mode: 0o700 } };
}
