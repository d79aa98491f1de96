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
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

/** It has no types and no documentation of its own, but is the same in every version of Node that we support. */
export const { HTTPParser: NodeParser } = createRequire(import.meta.url)("node:_http_common") as { HTTPParser: NodeParserClass };
