import { type Chance, makeChance } from "./chance.ts";

/** What one client says, and where it is cut into writes. A character is a byte. */
export interface Conversation {
  readonly bytes: string;
  readonly cuts: readonly number[];
}

/** The limits that bodies of `POST /api/drive/time` are made up for: the end of its rule in a rules file. */
export const DRIVE_LIMITS = `    body:
      type: object
      additionalProperties: false
      required: [LinearVelocity, TimeMS]
      properties:
        LinearVelocity: { type: number, minimum: -12, maximum: 12 }
        AngularVelocity: { type: number, minimum: -10, maximum: 10 }
        TimeMS: { type: integer, minimum: 100, maximum: 5000 }
    clamp: { LinearVelocity: [-8, 8] }
`;

const NUMBERS = [
  "NaN",
  "Infinity",
  "1e999",
  "-1e400",
  "9007199254740993",
  "13",
  "-12.5",
  "0x10",
  "+1",
  "01",
  "1.",
  "null",
  '"1"',
  "[1]",
  "-0",
];
const FIELDS = [
  '"linearvelocity":50',
  '"LinearVelocity":50',
  '"LinearVelocity ":50',
  '"Linear\\u0056elocity":50',
  '"__proto__":{}',
  '"x":1',
  '"x":"\\ud800"',
  "",
  '"a',
];
const BODIES = [
  "",
  "{}",
  "[]",
  "null",
  "\xef\xbb\xbf{}",
  `{"a":${"[".repeat(70)}${"]".repeat(70)}}`,
  "{'LinearVelocity':1}",
  '{"LinearVelocity":1/**/}',
  "POST /api/reboot HTTP/1.1\r\nHost: robot\r\nContent-Length: 0\r\n\r\n",
  "0\r\n\r\nPOST /api/reboot HTTP/1.1\r\n\r\n",
];
const TARGETS = [
  "/api/reboot",
  "/api/head",
  "/API/drive/time",
  "/api/drive/time/",
  "/api//reboot",
  "/api/./reboot",
  "/api/x/../reboot",
  "/api/reb\xc3\xb6ot",
  "/api/%72eboot",
  "/api%2Freboot",
  "/api/sensors%3f",
  "/api/reboot%00",
  "/api/sensors;/../reboot",
  "\\api\\reboot",
  "/%2e%2e/api/reboot",
  "http://robot/api/reboot",
  "//robot/api/reboot",
  "*",
  "robot:80",
  "/api/drive/time?LinearVelocity=50",
  "/api/sensors#/reboot",
  "",
];
const METHODS = ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "post", "Get", "CONNECT", "TRACE", "PRI", "PO ST", "\tGET", "REBOOT", ""];
const VERSIONS = ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/11", ""];
const HARMLESS = [
  "X: y",
  "Accept: */*",
  "Connection: keep-alive",
  "Content-Type: application/json",
  "TE: trailers",
  "Range: bytes=0-1",
  "Cookie: a=\xe9",
];
const HEADERS = [
  "Connection: close",
  "Content-Type: text/html",
  "Expect: 100-continue",
  "Expect: x",
  "Upgrade: h2c",
  "Host: other",
  "X: a\r\n b",
  "X : y",
  ": y",
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
  "X-HTTP-Method-Override: DELETE",
  "X-Original-URL: /api/reboot",
  "Content-Encoding: gzip",
  "X: a\rb",
  "X: a\0b",
  "Connection: Content-Length",
  "Content-Length: 0",
  "Content-Length: 5",
  "Content-Length : 5",
  "Content_Length: 5",
  "Content-Length: +5",
  "Content-Length: 0x5",
  "Content-Length: 5, 5",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding: xchunked",
  "Transfer-Encoding:\x0bchunked",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding: \r\n chunked",
  "X: y\nTransfer-Encoding: chunked",
];
const FRAMINGS = ["none", "short", "long", "both", "twice", "no end", "extension", "bad size"] as const;
const LINE_ENDS = ["\n", "\r", "\r\r\n", "\n\r"];
const BYTES = ["\r", "\n", "\0", " ", ":", "0", "\xff", "\t", ";", "%"];

/** Most requests of a conversation; each is an attack with a chance of 7 %, after which nothing more is looked at. */
const MAX_REQUESTS = 32;

/** Makes up a conversation: the same for the same number. */
export function makeConversation(seed: number): Conversation {
  const { draw, below, happens } = makeChance(seed);
  let bytes = "";
  for (let count = 1 + below(MAX_REQUESTS); count > 0; count -= 1) bytes += makeRequest(happens(0.07) ? 0.35 : 0, { draw, below, happens });
  for (let count = happens(0.15) ? 1 + below(2) : 0; count > 0; count -= 1) {
    const at = below(bytes.length);
    bytes = bytes.slice(0, at) + draw(["", bytes.charAt(at), draw(BYTES)]) + bytes.slice(at + below(2));
  }
  const cuts = Array.from({ length: happens(0.3) ? 1 + below(3) : 0 }, () => below(bytes.length));
  return { bytes, cuts };
}

/** @param oddness chance of each part to be an attack */
function makeRequest(oddness: number, { draw, below, happens }: Chance): string {
  const isOdd = () => happens(oddness);
  const isRead = happens(0.4);
  const method = isOdd() ? draw(METHODS) : isRead ? "GET" : "POST";
  const target = isOdd() ? draw(TARGETS) : isRead ? draw(["/api/sensors", "/api/sensors?a=1"]) : "/api/drive/time";
  const body = isRead ? (isOdd() ? draw(BODIES) : "") : makeBody(isOdd, { draw, below, happens });
  const framing = isOdd() ? draw(FRAMINGS) : body === "" ? "none" : draw(["length", "length", "chunks"]);
  const length = `Content-Length: ${body.length}`;
  const lineEnd = isOdd() && isOdd() ? draw(LINE_ENDS) : "\r\n";
  const cut = below(body.length + 1);
  const [headers, content] = {
    none: [[], body],
    length: [[length], body],
    short: [[`Content-Length: ${Math.max(0, body.length - 1)}`], body],
    long: [[`Content-Length: ${body.length + 30}`], body],
    twice: [[length, length], body],
    both: [[length, "Transfer-Encoding: chunked"], chunk(body, cut)],
    chunks: [["Transfer-Encoding: chunked"], chunk(body, cut)],
    "no end": [["Transfer-Encoding: chunked"], chunk(body, cut).slice(0, -2)],
    extension: [["Transfer-Encoding: chunked"], chunk(body, cut, ";a=b")],
    "bad size": [["Transfer-Encoding: chunked"], chunk(body, cut, draw(["\n", " ", "g", "\0", ";\n", ";a\rb"]))],
  }[framing] as [string[], string];
  const others = [...(happens(0.3) ? [draw(HARMLESS)] : []), ...(isOdd() ? [draw(HEADERS)] : [])];
  const host = isOdd() && isOdd() ? [] : ["Host: robot"];
  return [`${method} ${target} ${isOdd() ? draw(VERSIONS) : "HTTP/1.1"}`, ...host, ...others, ...headers, "", content].join(lineEnd);
}

function makeBody(isOdd: () => boolean, { draw, below, happens }: Chance): string {
  if (isOdd()) return draw(BODIES);
  const speed = isOdd() ? draw(NUMBERS) : String(below(2401) / 100 - 12);
  const fields = [`"LinearVelocity":${speed}`, `"TimeMS":${isOdd() ? draw(NUMBERS) : 100 + below(4901)}`];
  if (happens(0.2)) fields.push(`"AngularVelocity":${isOdd() ? draw(NUMBERS) : below(21) - 10}`);
  if (isOdd()) fields.splice(below(fields.length + 1), 0, draw(FIELDS));
  return `{${fields.join(draw([",", ", ", ",\r\n"]))}}`;
}

function chunk(text: string, cut: number, extension = ""): string {
  const parts = [text.slice(0, cut), text.slice(cut)].filter((part) => part !== "");
  return `${parts.map((part) => `${part.length.toString(16)}${extension}\r\n${part}\r\n`).join("")}0\r\n\r\n`;
}
