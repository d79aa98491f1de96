/** A request as this reader understands it. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

/** What a client said on one connection: the requests in it, up to the first that is incomplete or no HTTP. */
export interface ReadConversation {
  readonly requests: readonly ReadRequest[];
  /** Whether more bytes could complete another request. */
  readonly isIncomplete: boolean;
}

/** More than one blank in it, and blank lines between requests, are what Node's parser skips: none of it reaches a device. */
const REQUEST_LINE = /([A-Z]+) +([\x21-\x7e]+) +HTTP\/1\.([01])\r\n/y;
const HEADER = /([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)\r\n/y;
const CHUNK_SIZE = /([0-9A-Fa-f]{1,7})(?:;[\t\x20-\x7e]*)?\r\n/y;
const BLANK_LINES = /[\r\n]*/y;

/**
 * A second parser of HTTP/1.1 (RFC 9112), for tests: strict, and with nothing in common with the one that the filter works
 * with. A character is a byte.
 */
export function readStrictly(bytes: string): ReadConversation {
  const requests: ReadRequest[] = [];
  let at = 0;
  const match = (expression: RegExp): RegExpExecArray | undefined => {
    expression.lastIndex = at;
    const found = expression.exec(bytes);
    if (found !== null) at = expression.lastIndex;
    return found ?? undefined;
  };
  const end = (isIncomplete: boolean): ReadConversation => ({ requests, isIncomplete });
  for (;;) {
    match(BLANK_LINES);
    const line = match(REQUEST_LINE);
    if (line === undefined) return end(!bytes.slice(at).includes("\n"));
    const [, method = "", target = "", minor = ""] = line;
    const headers = new Map<string, string[]>();
    for (let header = match(HEADER); header !== undefined; header = match(HEADER)) {
      const name = (header[1] ?? "").toLowerCase();
      headers.set(name, [...(headers.get(name) ?? []), (header[2] ?? "").trim()]);
    }
    if (!bytes.startsWith("\r\n", at)) return end(!bytes.slice(at).includes("\n"));
    at += 2;
    const hosts = headers.get("host") ?? [];
    if (hosts.length > 1 || (minor === "1" && hosts.length === 0)) return end(false);
    const body = readBody(headers, minor);
    if (typeof body !== "string") return end(body.isIncomplete);
    requests.push({ method, target, body });
    const connection = (headers.get("connection") ?? []).join(",").toLowerCase();
    if (minor === "0" || /close|upgrade/.test(connection)) return end(false);
  }

  function readBody(headers: ReadonlyMap<string, string[]>, minor: string): string | { isIncomplete: boolean } {
    const lengths = headers.get("content-length");
    const codings = headers.get("transfer-encoding");
    if (codings !== undefined) {
      if (lengths !== undefined || minor === "0" || codings.length > 1 || codings[0]?.toLowerCase() !== "chunked")
        return { isIncomplete: false };
      return readChunks();
    }
    if (lengths === undefined) return "";
    const [length = ""] = lengths;
    if (lengths.length > 1 || !/^\d{1,15}$/.test(length)) return { isIncomplete: false };
    return take(Number(length)) ?? { isIncomplete: true };
  }

  function readChunks(): string | { isIncomplete: boolean } {
    let body = "";
    for (;;) {
      const line = match(CHUNK_SIZE);
      if (line === undefined) return { isIncomplete: !bytes.slice(at).includes("\n") };
      const size = Number.parseInt(line[1] ?? "", 16);
      if (size === 0) {
        while (match(HEADER) !== undefined); // trailers
        const isEnd = bytes.startsWith("\r\n", at);
        at += 2;
        return isEnd ? body : { isIncomplete: !bytes.slice(at - 2).includes("\n") };
      }
      const chunk = take(size);
      if (chunk === undefined) return { isIncomplete: true };
      body += chunk;
      if (!bytes.startsWith("\r\n", at)) return { isIncomplete: bytes.length < at + 2 };
      at += 2;
    }
  }

  function take(size: number): string | undefined {
    if (bytes.length < at + size) return undefined;
    at += size;
    return bytes.slice(at - size, at);
  }
}
