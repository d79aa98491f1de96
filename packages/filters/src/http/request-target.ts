import { decodeSegment } from "../rules/path-template.ts";

/** A request target that every parser reads in the same way. */
export interface PlainTarget {
  /** Decoded segments of the path: `/` is `[""]`, `/a/b` is `["a", "b"]`. */
  readonly path: readonly string[];
}

/** Characters that a path may hold as they are (RFC 3986, pchar and "/"). */
const PATH = /^\/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/;
/** Visible ASCII without `#`: what a query may hold here; what it means is the device's matter. */
const QUERY = /^[\x21\x22\x24-\x7e]*$/;
const PERCENT_TRIPLET = /%[0-9A-Fa-f]{2}/;

/**
 * Reads the target of a request line. Refuses what is not in origin form, and every path that normalises to something
 * else: what the filter judged and what the device understands must be the same path.
 * @returns the target, or why it is refused
 */
export function readTarget(target: string): PlainTarget | { readonly problem: string } {
  if (!target.startsWith("/")) return { problem: "the request target must be a path that starts with /" };
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  if (mark !== -1 && !QUERY.test(target.slice(mark + 1))) return { problem: "the query holds a character that must be percent-encoded" };
  if (path.includes("\\")) return { problem: "the path holds a backslash, which some servers read as a slash" };
  if (!PATH.test(path)) return { problem: "the path holds a character that must be percent-encoded" };
  const raw = path.slice(1).split("/");
  const segments: string[] = [];
  for (const [index, segment] of raw.entries()) {
    if (segment === "" && index < raw.length - 1) return { problem: "the path holds an empty segment (`//`)" };
    const decoded = decodeSegment(segment);
    if (decoded === undefined) return { problem: "the path's percent-encoding is not valid UTF-8" };
    const problem = findAmbiguity(segment, decoded);
    if (problem !== undefined) return { problem };
    segments.push(decoded);
  }
  return { path: segments };
}

function findAmbiguity(segment: string, decoded: string): string | undefined {
  // With its parameters cut off, `..;x` is `..` to some servers.
  const plain = decoded.split(";", 1)[0];
  if (plain === "." || plain === "..") return "the path holds a `.` or `..` segment";
  if (plain === "" && decoded !== "") return "the path holds a segment of parameters only (`/;x`), which some servers leave out";
  if (decoded === segment) return undefined;
  for (const [triplet] of segment.matchAll(/%../g)) {
    if (triplet !== triplet.toUpperCase()) return `the path holds ${triplet}, which normalises to ${triplet.toUpperCase()}`;
    const code = Number.parseInt(triplet.slice(1), 16);
    const character = String.fromCharCode(code);
    if (/[A-Za-z0-9\-._~]/.test(character)) return `the path holds ${triplet}, which normalises to ${character}`;
    if (code < 0x20 || code === 0x7f) return `the path holds ${triplet}, an encoded control character`;
    if (/[/\\;?#]/.test(character)) return `the path holds ${triplet}, an encoded ${character}, which could split the path`;
  }
  if (PERCENT_TRIPLET.test(decoded)) return "the path is percent-encoded twice";
  return undefined;
}
