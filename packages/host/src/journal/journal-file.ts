import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makePrivateFolder, readTextIfThere, syncFolder, writeFileDurably } from "@hardshare/runtime";

/** The file below a journal. What a call has settled for survives a loss of power; simulations put a disk of their own there. */
export interface JournalFile {
  /** Where it is, for messages. */
  readonly path: string;
  read(): Promise<Buffer>;
  /** Writes at an offset and syncs. @throws when not all of it could be written; some of it may have been */
  write(bytes: Buffer, offset: number): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Puts other content in place of all. @throws when that did not work; then nothing is changed */
  replace(bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** Opens the journal's file in a state folder; both are made when missing. */
export async function openJournalFile(folder: string): Promise<JournalFile> {
  await makePrivateFolder(folder);
  const path = join(folder, "journal");
  if ((await readTextIfThere(path)) === undefined) await writeFileDurably(path, "");
  return new DiskFile(path, await open(path, "r+"));
}

class DiskFile implements JournalFile {
  readonly path: string;
  #file: FileHandle;

  constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  read(): Promise<Buffer> {
    return readFile(this.path);
  }

  async write(bytes: Buffer, offset: number): Promise<void> {
    const { bytesWritten } = await this.#file.write(bytes, 0, bytes.length, offset);
    if (bytesWritten < bytes.length) throw new Error("no space left on the device");
    await this.#file.datasync();
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#file.truncate(sizeBytes);
  }

  async replace(bytes: Buffer): Promise<void> {
    const shorter = `${this.path}.new`;
    await writeFileDurably(shorter, bytes);
    const file = await open(shorter, "r+"); // before it takes the other's place: what is written from then on must be found
    try {
      await rename(shorter, this.path);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
    const old = this.#file;
    this.#file = file;
    await old.close().catch(() => {});
    // Before the next entry, which a loss of power would else leave in a file without a name.
    await syncFolder(dirname(this.path)).catch(() => {});
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
