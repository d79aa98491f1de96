import { systemClock } from "@hardshare/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readTarget } from "../http/request-target.ts";
import { openBudgetBook } from "../rules/budget-book.ts";
import { type CompiledHttpRules, parseHttpRules } from "../rules/http-rules.ts";
import { judgeHead, judgeRest } from "../rules/judge-request.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { judgeSerial, parseSerialRules } from "../rules/serial-rules.ts";
import { learnHttp } from "./learn-http.ts";
import { learnSerial } from "./learn-serial.ts";
import { writeRules } from "./proposed-rules.ts";
import type { HttpMessage } from "./read-decisions.ts";

const segment = fc.oneof(
  fc.constantFrom("api", "joints", "1", "2", "17", "-3", "a", "b", "*", "{x}", "\u00e9", "x y"),
  fc.nat(99).map(String),
);
const value = fc.oneof(
  fc.integer({ min: -99, max: 99 }),
  fc.double({ noNaN: true, min: -9, max: 9 }),
  fc.constantFrom("slow", "fast", true, null, "\u00e9"),
);
const request: fc.Arbitrary<HttpMessage> = fc.record(
  {
    method: fc.constantFrom("GET", "POST"),
    path: fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.map(encodeURIComponent).join("/")}`),
    query: fc.dictionary(fc.constantFrom("w", "h", "mode"), fc.oneof(fc.nat(999).map(String), fc.constantFrom("on", "1.5", "-0", "007"))),
    body: fc.dictionary(fc.constantFrom("speed", "time", "steps"), fc.oneof(value, fc.array(value, { maxLength: 3 }))),
  },
  { requiredKeys: ["method", "path", "query"] },
);

/** What rules say about a recorded request, as if it came again. */
function judge(rules: CompiledHttpRules, { method, path, query = {}, body }: HttpMessage): "allow" | "block" {
  const fields = Object.entries(query).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`);
  const target = `${path}${fields.length === 0 ? "" : `?${fields.join("&")}`}`;
  const read = readTarget(target);
  if ("problem" in read) throw new Error(read.problem);
  const head = judgeHead(rules, { method, target, path: read.path, hasBody: body !== undefined });
  return head.decision === "block" ? "block" : judgeRest(head, body === undefined ? undefined : Buffer.from(JSON.stringify(body))).decision;
}

test("proposed rules let through every request that they were made of, and no other", () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 12 }), (requests) => {
      // Of one method and path either all were recorded with a body, or none.
      const withBody = new Map<string, boolean>();
      const recorded = requests.filter(({ method, path, body }) => {
        if (method === "GET" && body !== undefined) return false; // refused by every filter
        const key = `${method} ${path}`;
        const first = withBody.get(key) ?? body !== undefined;
        withBody.set(key, first);
        return first === (body !== undefined);
      });
      const text = writeRules(learnHttp(recorded), []);
      const rules = parseHttpRules(
        text,
        "proposed.yaml",
        new LimitKeeper({ clock: systemClock, book: openBudgetBook({ file: undefined, clock: systemClock }) }),
      );
      for (const each of recorded) expect(judge(rules, each), `${JSON.stringify(each)}\n${text}`).toBe("allow");
      for (const each of recorded) {
        expect(judge(rules, { ...each, method: "PUT" })).toBe("block");
        expect(judge(rules, { ...each, path: `${each.path}/never/seen/before` })).toBe("block");
        expect(judge(rules, { ...each, query: { ...each.query, other: "1" } })).toBe("block");
        if (each.body !== undefined) expect(judge(rules, { ...each, body: { ...(each.body as object), other: 1 } })).toBe("block");
      }
    }),
  );
});

const line = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("G0", "G1", "G28", "M104", "$10"),
      fc.array(
        fc.tuple(
          fc.constantFrom(" X", " Y", "F", "=", "-", ".", "S "),
          fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(".5", "5.", "+1", "1234567890123456789")),
        ),
        { maxLength: 3 },
      ),
    )
    .map(([command, words]) => command + words.flat().join("")),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 6 }),
);

test("proposed rules let through every line that they were made of, and no other command", () => {
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 30 }), (lines) => {
      const text = writeRules(learnSerial(lines.map((each) => ({ line: each }))), []);
      const rules = parseSerialRules(
        text,
        "proposed.yaml",
        new LimitKeeper({ clock: systemClock, book: openBudgetBook({ file: undefined, clock: systemClock }) }),
      );
      for (const each of lines)
        expect(judgeSerial(rules.in, each), `${JSON.stringify(each)}\n${text}`).toMatchObject({ decision: "allow" });
      expect(judgeSerial(rules.in, "M999 never seen")).toMatchObject({ decision: "block", rule: "default" });
    }),
  );
});
