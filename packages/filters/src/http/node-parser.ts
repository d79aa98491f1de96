import { METHODS } from "node:http";
import { createRequire } from "node:module";

/** Node's own parser of HTTP (llhttp), as `node:http` uses it. */
export interface NodeParser {
  [callback: number]: unknown;
  initialize(type: number, resource: object, maxHeaderBytes: number, lenientFlags: number): void;
  execute(bytes: Uint8Array): number | Error;
  finish(): number | Error | undefined;
  close(): void;
}

interface NodeParserClass {
  new (): NodeParser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnMessageBegin: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

/** It has no types and no documentation of its own, but is the same in every version of Node that we support. */
export const { HTTPParser: NodeParser } = createRequire(import.meta.url)("node:_http_common") as { HTTPParser: NodeParserClass };

/** The parser's callback; of many headers it hands over the first ones before, in pieces, and then none here, and no target. */
export type HeadersComplete = (
  major: number,
  minor: number,
  headers: string[] | undefined,
  method: number | undefined,
  target: string | undefined,
  status: number | undefined,
  statusMessage: string | undefined,
  isUpgrade: boolean,
  isKeptAlive: boolean,
) => number;

/** What that callback tells the parser. */
export const BODY_FOLLOWS = 0;
export const NO_BODY = 1;
/** What follows is no HTTP. */
export const OTHER_PROTOCOL = 2;

/** The limit of Node's own client and server. */
export const MAX_HEAD_BYTES = 16 * 1024;

/** Frees a parser, which must not happen while it runs. */
export function freeParser(parser: NodeParser): void {
  setImmediate(() => parser.close());
}

/** The methods by the parser's numbers, which it tells nowhere: it is asked for each. */
export function readMethodNames(): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  const parser = new NodeParser();
  for (const name of METHODS) {
    const onHeadersComplete: HeadersComplete = (_major, _minor, _headers, method) => {
      if (method !== undefined) names.set(method, name);
      return NO_BODY;
    };
    parser.initialize(NodeParser.REQUEST, {}, MAX_HEAD_BYTES, 0);
    parser[NodeParser.kOnHeadersComplete] = onHeadersComplete;
    parser.execute(Buffer.from(`${name} ${name === "CONNECT" ? "robot:80" : "/"} HTTP/1.1\r\n\r\n`));
  }
  parser.close();
  return names;
}
