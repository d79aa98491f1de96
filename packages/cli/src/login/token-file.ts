import { open } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";

/** Longest file that is taken for a token. */
const MAX_TOKEN_BYTES = 64 * 1024;
/** A signed JSON Web Token in compact form (RFC 7519): three base64url parts. */
const TOKEN_PATTERN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Reads an API token from a file. @param flag that named it @throws AppError `bad_input` that names the file */
export async function readTokenFile(path: string, flag = "--token-file"): Promise<string> {
  let text: string;
  try {
    await using file = await open(path, "r");
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_TOKEN_BYTES));
    text = buffer.toString("utf8", 0, bytesRead).trim();
  } catch (error) {
    throw new AppError("bad_input", `${flag}: can't read ${path} (${(error as NodeJS.ErrnoException).code}); name a file with a token`, {
      details: { field: flag.slice(2) },
      cause: error,
    });
  }
  return checkToken(text, `${flag}: ${path}`);
}

/** @param source names where it came from, for the message @throws AppError `bad_input` */
export function checkToken(text: string, source: string): string {
  const token = text.trim();
  if (TOKEN_PATTERN.test(token)) return token;
  throw new AppError(
    "bad_input",
    `${source} holds no API token; expected one line of three parts joined by dots, as \`hardshare admin token\` makes`,
    {
      details: { field: "token" },
    },
  );
}
