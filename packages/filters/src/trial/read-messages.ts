import { readFile } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import * as z from "zod";

/** A request as an object, as in an HTTP archive. */
const RequestLine = z.strictObject({ method: z.string(), path: z.string(), body: z.unknown().optional() });

/**
 * The messages of an argument: the argument itself, or those in the file of an `@file`. There each line is a message; for
 * http and rpc a line may also be JSON with `method`, `path` and `body`, and a file that begins with a raw request is that
 * request, byte by byte.
 * @throws AppError `bad_input`
 */
export async function readMessages(argument: string, kind: string): Promise<string[]> {
  if (!argument.startsWith("@")) return [kind === "serial" ? unescape(argument) : argument];
  const file = argument.slice(1);
  let text: string;
  try {
    text = await readFile(file, kind === "serial" ? "latin1" : "utf8");
  } catch (cause) {
    throw new AppError("bad_input", `cannot read ${file}: ${(cause as Error).message}`, { details: { field: "messages" }, cause });
  }
  const isHttp = kind === "http" || kind === "rpc";
  if (isHttp && /^[^\r\n]* HTTP\/\d\.\d\r?\n/.test(text)) return [text];
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  return isHttp ? lines.map((line, index) => (line.startsWith("{") ? readRequest(line, `${file}:${index + 1}`) : line)) : lines;
}

function readRequest(line: string, place: string): string {
  let read: z.infer<typeof RequestLine> | undefined;
  try {
    read = RequestLine.safeParse(JSON.parse(line)).data;
  } catch {
    // told below
  }
  if (read === undefined) {
    throw new AppError("bad_input", `${place}: expected JSON such as {"method":"POST","path":"/api/drive","body":{"speed":1}}`, {
      details: { field: "messages" },
    });
  }
  const body = read.body === undefined ? "" : ` ${JSON.stringify(read.body)}`;
  return `${read.method} ${read.path}${body}`;
}

/** A byte that can't be typed is written as \xNN. */
function unescape(line: string): string {
  return line.replaceAll(/\\x([0-9a-fA-F]{2})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
