import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { AppError } from "@hardshare/protocol";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BackupLine, readBackup, writeBackup } from "./backup-file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "backup-prop-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(path: string): Promise<unknown[]> {
  await using backup = await readBackup(path);
  const lines: unknown[] = [];
  for await (const line of backup.lines) lines.push(line);
  return lines;
}

const text = fc.string({ unit: "binary", maxLength: 20 });
const line = fc.oneof(
  fc.record({ file: text, mode: fc.nat(0o777), text }),
  fc.record({ table: text, row: fc.dictionary(text, fc.jsonValue({ maxDepth: 1 })) }),
  fc.record({ rows: fc.nat() }),
);
const header = { at: "2026-01-01T00:00:00.000Z", migrations: [1] };
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test("what was written is read, and a file that was cut or changed anywhere is refused, or ends early", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 6 }), fc.nat(), fc.nat(255), fc.boolean(), async (lines, place, by, isCut) => {
      const path = join(folder, "whole");
      await rm(path, { force: true });
      async function* all(): AsyncGenerator<BackupLine> {
        yield* lines;
      }
      await writeBackup(path, header, all());
      expect(await read(path)).toEqual(plain(lines));
      const bytes = await readFile(path);
      const at = place % bytes.length;
      const broken = isCut ? bytes.subarray(0, at) : Buffer.from(bytes);
      if (!isCut) broken[at] = (bytes[at] ?? 0) ^ by;
      await writeFile(path, broken);
      const outcome = await read(path).catch((error: unknown) => error);
      if (outcome instanceof Error) expect(outcome).toBeInstanceOf(AppError);
      else expect(outcome).toEqual(plain(lines)); // a byte of gzip's own head
    }),
  );
});

test("a compressed file of anything else is refused with what was expected", async () => {
  const path = join(folder, "other");
  const first = fc.oneof(fc.constant(JSON.stringify({ format: "hardshare-backup", version: 1, ...header })), fc.json(), text);
  await fc.assert(
    fc.asyncProperty(
      first,
      fc.array(
        fc.oneof(
          fc.json(),
          text,
          fc.json().map((json) => `{"row":${json}}`),
        ),
        { maxLength: 4 },
      ),
      async (head, rest) => {
        await writeFile(path, gzipSync([head, ...rest].join("\n")));
        const outcome = await read(path).catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toMatchObject({ code: "bad_input", message: expect.stringContaining(path) });
      },
    ),
  );
});
