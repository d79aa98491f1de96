import { NEVER_ALLOWED_METHODS } from "../rules/http-rules.ts";
import type { ClientRequest } from "./request-reader.ts";
import { readTarget } from "./request-target.ts";

/** A request that can be read in one way only, ready to be judged and written anew. */
export interface StrictRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** Decoded segments of the path. */
  readonly path: readonly string[];
  /** End-to-end headers, names and values by turns, without Host and framing. */
  readonly headers: readonly string[];
  /** How the body is framed; a number is its length in bytes. */
  readonly body: "none" | "chunked" | number;
  /** Whether the client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean;
  /** In small letters. */
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** The protocol of `Upgrade`. */
  readonly upgrade: string | undefined;
}

/** Headers that concern one connection only (RFC 9110 §7.6.1), besides those that `Connection` names. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** Headers that the filter writes itself. */
const WRITTEN_HERE: ReadonlySet<string> = new Set(["host", "content-length", "transfer-encoding", "expect"]);
/** Headers of which a second one could be read in two ways. */
const ONCE_ONLY: ReadonlySet<string> = new Set([
  ...WRITTEN_HERE,
  "content-type",
  "content-encoding",
  "upgrade",
  "sec-websocket-key",
  "sec-websocket-version",
]);
/** A name of a header (RFC 9110 §5.6.2), in small letters. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
/** Headers by which some frameworks replace the method or path that the filter has judged. */
const OVERRIDING: ReadonlySet<string> = new Set([
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  "x-original-url",
  "x-original-uri",
  "x-rewrite-url",
  "x-rewrite-uri",
  "x-override-url",
  "x-forwarded-path",
  "x-forwarded-uri",
  "x-forwarded-prefix",
  "x-http-destinationurl",
  "base-url",
  "request-uri",
  // gunicorn, and the usual middleware of WSGI behind a proxy, take this beginning off the path
  "script-name",
  "x-script-name",
  "path-info",
  "x-path-info",
]);
/** Methods whose body servers ignore or refuse (RFC 9110 §9.3.1, §9.3.2): one that ignores it reads it as the next request. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/**
 * Looks at a request that Node's strict parser has read, for all that a second parser could read differently.
 * @returns the request, or why it is refused
 */
export function inspectRequest(request: ClientRequest): StrictRequest | { readonly problem: string } {
  const { method, target: url, version } = request;
  if (version !== "1.1" && version !== "1.0") return { problem: `expected HTTP/1.1 or HTTP/1.0, not HTTP/${version}` };
  if (method === "") return { problem: "the method is none of HTTP's" };
  if (NEVER_ALLOWED_METHODS.has(method)) return { problem: `the method ${method} is never passed on` };
  const target = readTarget(url);
  if ("problem" in target) return target;
  const headers = sortHeaders(request.rawHeaders);
  if ("problem" in headers) return headers;
  const { special } = headers;
  if (version === "1.1" && !special.has("host")) return { problem: "the Host header is missing" };
  const body = readFraming(special, version);
  if (typeof body === "object") return body;
  if (WITHOUT_BODY.has(method) && body !== "none" && body !== 0) return { problem: `a ${method} request with a body is ambiguous` };
  const expectation = version === "1.1" ? special.get("expect")?.toLowerCase() : undefined;
  if (expectation !== undefined && expectation !== "100-continue") return { problem: "expected 100-continue as the only Expect" };
  return {
    method,
    target: url,
    path: target.path,
    headers: headers.endToEnd,
    body,
    expectsContinue: expectation !== undefined && body !== "none",
    contentType: special.get("content-type")?.toLowerCase(),
    contentEncoding: special.get("content-encoding")?.toLowerCase(),
    upgrade: special.get("upgrade")?.toLowerCase(),
  };
}

/** The end-to-end headers of a message, names and values by turns, without those that frame its body. */
export function selectEndToEnd(rawHeaders: readonly string[]): string[] {
  return select(rawHeaders, readNames(rawHeaders), NONE);
}

const NONE: ReadonlySet<string> = new Set();

/** The names in small letters. */
function readNames(rawHeaders: readonly string[]): string[] {
  const names: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) names.push((rawHeaders[index] ?? "").toLowerCase());
  return names;
}

function select(rawHeaders: readonly string[], names: readonly string[], except: ReadonlySet<string>): string[] {
  let named: Set<string> | undefined;
  for (const [index, name] of names.entries()) {
    if (name !== "connection") continue;
    named ??= new Set();
    for (const token of (rawHeaders[2 * index + 1] ?? "").split(",")) named.add(token.trim().toLowerCase());
  }
  const kept: string[] = [];
  for (const [index, name] of names.entries()) {
    if (HOP_BY_HOP.has(name) || except.has(name) || named?.has(name) === true) continue;
    kept.push(rawHeaders[2 * index] ?? "", rawHeaders[2 * index + 1] ?? "");
  }
  return kept;
}

type SortedHeaders = { endToEnd: string[]; special: Map<string, string> };

function sortHeaders(rawHeaders: readonly string[]): SortedHeaders | { problem: string } {
  const special = new Map<string, string>();
  const names = readNames(rawHeaders);
  for (const [index, name] of names.entries()) {
    if (!TOKEN.test(name)) return { problem: "the name of a header is none" }; // the parser of Node 20.19.0 lets it pass
    // CGI and its heirs read `_` as `-`.
    const folded = name.includes("_") ? name.replaceAll("_", "-") : name;
    if (OVERRIDING.has(folded)) return { problem: `the header ${rawHeaders[2 * index]} could replace the request that was judged` };
    if (folded !== name && (ONCE_ONLY.has(folded) || HOP_BY_HOP.has(folded))) {
      return { problem: `the header ${rawHeaders[2 * index]} could be read as ${folded}` };
    }
    if (!ONCE_ONLY.has(name)) continue;
    if (special.has(name)) return { problem: `the header ${rawHeaders[2 * index]} is given twice` };
    special.set(name, rawHeaders[2 * index + 1] ?? "");
  }
  return { endToEnd: select(rawHeaders, names, WRITTEN_HERE), special };
}

function readFraming(special: ReadonlyMap<string, string>, version: string): StrictRequest["body"] | { problem: string } {
  const coding = special.get("transfer-encoding");
  const length = special.get("content-length");
  if (coding !== undefined) {
    if (length !== undefined) return { problem: "both Transfer-Encoding and Content-Length are given" };
    if (version === "1.0") return { problem: "HTTP/1.0 knows no Transfer-Encoding" };
    return coding.toLowerCase() === "chunked" ? "chunked" : { problem: "expected chunked as the only Transfer-Encoding" };
  }
  if (length === undefined) return "none";
  const bytes = Number(length);
  return /^\d+$/.test(length) && Number.isSafeInteger(bytes) ? bytes : { problem: "Content-Length is not a number of bytes" };
}
