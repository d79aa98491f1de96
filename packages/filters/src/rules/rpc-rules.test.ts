import { expect, test } from "vitest";
import { makeLimits } from "../testing/filter-world.ts";
import { parseRpcRules } from "./rpc-rules.ts";

const parse = (text: string, checksPrograms = false) =>
  parseRpcRules(text, "/nowhere/arm.yaml", { limits: makeLimits(), isBusy: () => false, checksPrograms });
const rule = (run: string, more = "") =>
  `rules: [{ allow: "GET /a/{p}", run: ${run}, query: { q: {}, n: { type: integer } }, query_required: [q]${more} }]`;

test.each([
  [rule("[]"), "rules.0.run: "],
  [rule('["{q}"]'), "rules.0.run.0: expected a program: what is run is the owner's choice alone"],
  [rule('[a, "{x}"]'), "rules.0.run.1: expected a {name} that stands in the path, in `query`, or in the `properties` of `body`, not {x}"],
  [
    rule('[a, "{n}"]'),
    "rules.0.run.1: expected {n} to be required (query_required, or required of the body), or text before it, such as --n={n}",
  ],
  [rule('[sh, -c, "move {q}"]'), "rules.0.run.2: expected {q} to be a number, or one of listed texts (enum): here it is read as a program"],
  [rule('[/bin/bash, -ec, "{q}"]'), "rules.0.run.2: expected {q} to be a number"],
  [rule('[sudo, bash, -c, "x {q}"]'), "rules.0.run.3: expected {q} to be a number"],
  [rule('[python3, -c, "print({q})"]'), "rules.0.run.2: expected {q} to be a number"],
  [rule('[ssh, robot, move, "{q}"]'), "rules.0.run.3: expected {q} to be a number"],
  [rule('[bash, -cx, "{q}"]'), "rules.0.run.2: expected {q} to be a number"],
  [rule('[sed, -e, "{q}", file]'), "rules.0.run.2: expected {q} to be a number"],
  [rule('[node, --eval, "{q}"]'), "rules.0.run.2: expected {q} to be a number"],
  [`mode: shadow\n${rule('[sh, -c, "move {n}"]')}`, "rules.0.run.2: expected `mode: enforce`: here {n} is read as a program"],
  [rule("[a]", ', stdin: "{x}"'), "rules.0.stdin: expected a {name}"],
  [rule("[a]", ', stdin: "{body}"'), "rules.0.stdin: expected a {name}"],
  [rule("[a]", ", clamp: { z: [0, 1] }"), "rules.0.clamp.z: expected `body` too"],
  [rule("[a]", ", timeout: 2h"), "rules.0.timeout: expected at most 1h"],
  ["rules: [{ allow: GET /a/*, run: [a] }]", "rules.0.allow: expected a path without `*`"],
  ["rules: [{ allow: '* /a', run: [a] }]", "rules.0.allow: expected METHOD /path"],
  ["rules: [{ allow: HEAD /a, run: [a] }]", "rules.0.allow: expected METHOD /path"],
  ["rules: [{ allow: GET /a }]", "rules.0.run: "],
  ["default: allow", "default: there is no field of this name here"],
  [
    "rules: [{ allow: 'POST /{q}', run: [a], query: { q: {} } }]",
    "rules.0.query.q: expected another name, because path, query or body have this one already",
  ],
])("%s is refused with the field and what was expected", (text, problem) => {
  expect(() => parse(text)).toThrow(problem);
});

test.each([
  rule('[a, "{q}", "--n={n}", "{p}"]'),
  rule('[sh, -c, "move {n}"]').replace("query_required: [q]", "query_required: [q, n]"),
  rule('[ssh, robot, "--n={n}"]'),
  rule('[sh, script.sh, "{q}"]'),
  rule('[a, "{not a name}", "{}"]'),
])("%s is right", (text) => {
  expect(parse(text).rules).toHaveLength(1);
});

test("a program that is not there, is none, or can't be executed is told with its path", () => {
  expect(() => parse("rules: [{ allow: GET /a, run: [./move.sh] }]", true)).toThrow(
    "rules.0.run.0: expected a program: /nowhere/move.sh is not there",
  );
  expect(() => parse("rules: [{ allow: GET /a, run: [/tmp] }]", true)).toThrow("expected a program: /tmp is none");
  expect(() => parse("rules: [{ allow: GET /a, run: [/etc/passwd] }]", true)).toThrow("`chmod +x /etc/passwd`");
});
