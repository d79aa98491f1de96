import { constants } from "node:fs";
import { access, open, stat } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";

/** Longest first line that Linux reads (BINPRM_BUF_SIZE). */
const HEAD_BYTES = 256;

/**
 * Looks whether the kernel can run a file. What it can't is told in words: a missing interpreter is "No such file" to
 * it, and a file that names none would be run by a shell, which takes an empty one for a success.
 * @throws AppError `program_failed`
 */
export async function checkProgramFile(path: string): Promise<void> {
  const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "ENOENT" || error.code === "ENOTDIR" ? "is not there" : `cannot be looked at: ${error.message}`;
    throw refusal(`the program ${path} ${why}`);
  });
  if (!facts.isFile()) throw refusal(`${path} is ${facts.isDirectory() ? "a folder" : "a special file"}, not a program`);
  if ((facts.mode & 0o111) === 0) throw refusal(`the program ${path} cannot be executed: \`chmod +x ${path}\``);
  await access(path, constants.X_OK).catch(() => {
    throw refusal(`the program ${path} cannot be executed by the host daemon's user, or its file system is mounted with \`noexec\``);
  });
  const head = await readHead(path);
  if (head === undefined) return; // may be run, but not read
  if (head.startsWith("#!")) return checkInterpreter(path, head);
  if (!head.includes("\0")) {
    throw refusal(`${path} does not say which program runs it: let its first line be #!/bin/sh, or whatever it is written for`);
  }
}

async function checkInterpreter(path: string, head: string): Promise<void> {
  const [line = ""] = head.slice(2).split("\n");
  if (line.endsWith("\r")) throw refusal(`the lines of ${path} end as on Windows: \`sed -i 's/\\r$//' ${path}\``);
  const [interpreter = ""] = line.trim().split(/[ \t]/);
  if (interpreter !== "" && !interpreter.startsWith("/")) return; // counts from the folder in which it is run
  await access(interpreter, constants.X_OK).catch(() => {
    throw refusal(`the first line of ${path} names ${interpreter === "" ? "no program" : `${interpreter}, which is not there`}`);
  });
}

/** The first bytes of a file; undefined when it cannot be read. */
async function readHead(path: string): Promise<string | undefined> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } catch {
    return undefined;
  }
}

function refusal(message: string): AppError {
  return new AppError("program_failed", message);
}
