import { AppError } from "@hardshare/protocol";
import type { ContainerFile } from "./engine.ts";

/** POSIX.1-1988 "ustar" (IEEE Std 1003.1, pax utility): records of 512 bytes, two empty ones at the end. */
const RECORD_BYTES = 512;
/** Most bytes of one archive: what is put into a container are keys and small configuration files. */
const MAX_ARCHIVE_BYTES = 64 * 1024 ** 2;

/**
 * A tar archive of a few small files, held in memory. Throws `bad_input` for a path that is absolute, contains `..`,
 * or is longer than the format allows (255 bytes), and when it would hold more than 64 MiB.
 */
export function makeTarArchive(files: readonly ContainerFile[], modifiedAtMs: number): Buffer {
  const parts: Buffer[] = [];
  let size = 0;
  for (const file of files) {
    const isFolder = file.content === undefined;
    const content = Buffer.from(file.content ?? "");
    size += content.length;
    if (size > MAX_ARCHIVE_BYTES) throw new AppError("bad_input", "files put into a container may have at most 64 MiB together");
    parts.push(makeHeader(file, isFolder, content.length, modifiedAtMs), content);
    parts.push(Buffer.alloc((RECORD_BYTES - (content.length % RECORD_BYTES)) % RECORD_BYTES));
  }
  parts.push(Buffer.alloc(2 * RECORD_BYTES));
  return Buffer.concat(parts);
}

function makeHeader(file: ContainerFile, isFolder: boolean, sizeBytes: number, modifiedAtMs: number): Buffer {
  const header = Buffer.alloc(RECORD_BYTES);
  const { prefix, name } = splitPath(file.path, isFolder);
  header.write(name, 0, 100);
  writeOctal(header, file.mode & 0o7777, 100, 8);
  writeOctal(header, file.uid, 108, 8);
  writeOctal(header, file.gid, 116, 8);
  writeOctal(header, sizeBytes, 124, 12);
  writeOctal(header, Math.floor(modifiedAtMs / 1000), 136, 12);
  header.write(" ".repeat(8), 148); // the checksum counts itself as blanks
  header.write(isFolder ? "5" : "0", 156);
  header.write("ustar\u000000", 257, "latin1");
  header.write(prefix, 345, 155);
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return header;
}

function splitPath(path: string, isFolder: boolean): { prefix: string; name: string } {
  const parts = path.split("/");
  if (path.startsWith("/") || path.includes("\0") || parts.some((part) => part === "" || part === "." || part === "..")) {
    throw new AppError("bad_input", `cannot put ${JSON.stringify(path)} into a container: expected a relative path without '..'`);
  }
  const whole = isFolder ? `${path}/` : path;
  if (Buffer.byteLength(whole) <= 100) return { prefix: "", name: whole };
  for (let cut = parts.length - 1; cut > 0; cut -= 1) {
    const prefix = parts.slice(0, cut).join("/");
    const name = whole.slice(prefix.length + 1);
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return { prefix, name };
  }
  throw new AppError("bad_input", `cannot put ${JSON.stringify(path)} into a container: the path is too long`);
}

function writeOctal(header: Buffer, value: number, offset: number, width: number): void {
  header.write(`${value.toString(8).padStart(width - 1, "0")}\0`, offset, "latin1");
}
