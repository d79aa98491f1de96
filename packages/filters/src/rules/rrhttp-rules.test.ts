import { describe, expect, test } from "vitest";
import { readTarget } from "../http/request-target.ts";
import { judgeHead, judgeRest } from "./judge-request.ts";
import { parseRrhttpRules, RRHTTP_WITHOUT_FILE } from "./rrhttp-rules.ts";
import type { CompiledHttpRules } from "./http-rules.ts";

/** A configuration for the routes of a Misty, in the words of that program. */
const MISTY = `
default: block
rules:
  - verb: GET
    uri: /api/cameras/rgb
    schema:
      - { name: Base64, type: bool, optional: true }
      - { name: Width, type: int, range: [1, 640], optional: true }
  - verb: Post
    uri: /api/head
    has_body: true
    unknown_key: is ignored
    schema:
      - { name: Pitch, type: float, range: [-30, 10] }
      - { name: Level, type: bool, optional: true, case_sensitive: false }
  - verb: POST
    uri: /api/drive/time
    has_body: true
    default: block
    schema:
      - { name: LinearVelocity, type: int, range: [-10, 10] }
      - { name: TimeMS, type: int, range: [500, 40000] }
  - verb: POST
    uri: /api/drive/time
  - { verb: POST, uri: /api/opaque }
  - { verb: GET, uri: /api/plain, has_params: false, has_body: false }
  - { verb: GET, uri: /api/asked, has_params: true }
`;

function judge(rules: CompiledHttpRules, method: string, target: string, body = ""): string {
  const read = readTarget(target);
  if ("problem" in read) return "strict";
  const head = judgeHead(rules, { method, target, path: read.path, hasBody: body !== "" });
  return head.decision === "block" ? "block" : judgeRest(head, Buffer.from(body)).decision;
}

describe("a configuration of rrhttp means what its documentation says", () => {
  const rules = parseRrhttpRules(MISTY, "misty.yaml");

  test.each([
    ["allow", "GET", "/api/cameras/rgb"],
    ["allow", "GET", "/api/cameras/rgb?Width=640&Base64=true&other=1"],
    ["block", "GET", "/api/cameras/rgb?Width=641"],
    ["block", "GET", "/api/cameras/rgb?Width=1.5"],
    ["block", "GET", "/api/cameras/rgb?Width"],
    ["block", "GET", "/api/cameras/rgb?Base64=1"],
    ["block", "GET", "/api/cameras/rgb?Width=1&Width=9999"], // F-9
    ["block", "GET", "/api/cameras/rgb?Width=1&width=9999"], // F-11
    ["strict", "GET", "/api/cameras/%72gb"], // F-8
    ["block", "GET", "/api/other"],
    ["block", "PUT", "/api/head"], // F-4: the default decides
    ["allow", "POST", "/api/head", '{"Pitch":-29.5,"Level":true,"other":"x"}'], // F-1, F-13
    ["allow", "POST", "/api/head", '{"Pitch":1,"LEVEL":false}'],
    ["block", "POST", "/api/head", '{"Pitch":1,"Level":1}'], // F-1
    ["block", "POST", "/api/head", '{"Pitch":1,"Level":true,"level":1}'], // F-11
    ["block", "POST", "/api/head", '{"pitch":1}'],
    ["block", "POST", "/api/head", '{"Pitch":11}'],
    ["block", "POST", "/api/head", '{"Pitch":NaN}'], // F-12
    ["block", "POST", "/api/head", '{"Pitch":1,"Pitch":99}'], // F-11
    ["block", "POST", "/api/head"], // F-14
    ["block", "POST", "/api/head", "[1]"],
    ["allow", "POST", "/api/drive/time", '{"LinearVelocity":-10,"TimeMS":40000}'], // F-13
    ["block", "POST", "/api/drive/time", '{"LinearVelocity":1.5,"TimeMS":1000}'],
    ["block", "POST", "/api/drive/time", '{"LinearVelocity":1,"TimeMS":1000,"x":1}'], // the first rule decides; F-15
    ["block", "POST", "/api/drive/time", '{"LinearVelocity":1}'],
    ["allow", "POST", "/api/opaque", "no JSON"], // F-5
    ["allow", "POST", "/api/opaque?x=1"],
    ["allow", "GET", "/api/plain"],
    ["block", "GET", "/api/plain?x=1"],
    ["allow", "GET", "/api/asked?x=1"],
    ["block", "GET", "/api/asked"],
  ])("%s %s %s %s", (decision, method, target, body?: string) => {
    expect(judge(rules, method, target, body)).toBe(decision);
  });

  test("a path is no template, and one that no request can have decides nothing", () => {
    const odd = parseRrhttpRules("default: allow\nrules: [{ verb: GET, uri: '/{x}', has_params: true }, { verb: GET, uri: a }]", "f");
    expect(judge(odd, "GET", "/a")).toBe("allow");
    expect(judge(odd, "GET", "/%7Bx%7D")).toBe("block");
  });

  test("without a file all passes", () => {
    expect(judge(RRHTTP_WITHOUT_FILE, "DELETE", "/a?b=c")).toBe("allow");
  });
});

test.each([
  ["rules: []", /^f:1:1: default: /],
  ["default: allow", /^f:1:1: rules: /],
  ["default: allow\nrules: [{ verb: PUT, uri: / }]", /^f:2:17: rules\.0\.verb: /],
  [
    "default: allow\nrules: [{ verb: GET, uri: /, schema: [{ name: a, type: int, range: [2, 1] }] }]",
    /^f:2:68: rules\.0\.schema\.0\.range: expected \[smallest, largest\]/,
  ],
])("a configuration that is wrong is told where: %j", (text, message) => {
  expect(() => parseRrhttpRules(text, "f")).toThrow(message);
});
