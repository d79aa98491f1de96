import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import { AppError, parseWith } from "@hardshare/protocol";
import { syncFolder } from "@hardshare/runtime";
import { dirname } from "node:path";
import * as z from "zod";

/**
 * The file of a backup: gzip of JSON lines. The first says what it is, then come the server's own files, then the rows
 * of the database, and the last one counts them: without it the file is torn.
 */
const FORMAT = "hardshare-backup";
const VERSION = 1;

const Header = z.object({
  format: z.literal(FORMAT, "expected a backup that `hardshare backup` made"),
  version: z.literal(VERSION, "expected a backup of this version: restore it with the hardshare that made it, or a newer one"),
  at: z.iso.datetime(),
  /** Steps of the database's schema that the rows are of. */
  migrations: z.array(z.int()),
});
const Line = z.union([
  z.strictObject({ file: z.string(), mode: z.int(), text: z.string() }),
  z.strictObject({ table: z.string(), row: z.unknown() }),
  z.strictObject({ rows: z.int() }),
]);

export type BackupHeader = z.infer<typeof Header>;
export type BackupLine = z.infer<typeof Line>;

/** Writes a backup whole or not at all; it holds keys, so that its owner alone may read it. */
export async function writeBackup(
  path: string,
  header: Pick<BackupHeader, "at" | "migrations">,
  lines: AsyncIterable<BackupLine>,
): Promise<void> {
  const temporary = `${path}.unfinished`;
  async function* text(): AsyncGenerator<string> {
    yield `${JSON.stringify({ format: FORMAT, version: VERSION, ...header })}\n`;
    for await (const line of lines) yield `${JSON.stringify(line)}\n`;
  }
  try {
    await pipeline(text(), createGzip(), createWriteStream(temporary, { mode: 0o600, flags: "wx" }));
    const file = await open(temporary);
    await file.sync();
    await file.close();
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      throw new AppError("conflict", `${temporary} is there: another backup runs, or one was killed; remove it, or write to another file`, {
        cause: error,
      });
    }
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Reads a backup line by line. @throws AppError `bad_input` when it is none, or torn */
export async function readBackup(path: string): Promise<{ header: BackupHeader; lines: AsyncIterable<BackupLine> } & AsyncDisposable> {
  const file = createReadStream(path);
  await once(file, "open").catch((cause: unknown) => {
    throw new AppError("bad_input", `can't read ${path}: ${(cause as Error).message}`, { cause, details: { field: "file" } });
  });
  const text = file.pipe(createGunzip());
  file.once("error", (error) => text.destroy(error));
  const lines = createInterface({ input: text, crlfDelay: Infinity })[Symbol.asyncIterator]();
  const broken = (cause: unknown) => new AppError("bad_input", `${path} is no whole backup: ${(cause as Error).message}`, { cause });
  const next = async (): Promise<unknown> => {
    try {
      const line = await lines.next();
      return line.done === true ? undefined : JSON.parse(line.value);
    } catch (error) {
      throw broken(error);
    }
  };
  const header = parseWith(Header, (await next()) ?? {}, path);
  async function* read(): AsyncGenerator<BackupLine> {
    for (let data = await next(); data !== undefined; data = await next()) yield parseWith(Line, data, path);
  }
  return {
    header,
    lines: read(),
    async [Symbol.asyncDispose]() {
      file.destroy();
      text.destroy();
    },
  };
}
