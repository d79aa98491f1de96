import { systemClock } from "@hardshare/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openHttpTrial } from "../trial/http-trial.ts";
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

function asText({ method, path, query = {}, body }: HttpMessage): string {
  const fields = new URLSearchParams(query as Record<string, string>).toString();
  return `${method} ${path}${fields === "" ? "" : `?${fields}`}${body === undefined ? "" : ` ${JSON.stringify(body)}`}`;
}

test("proposed rules let through every request that they were made of, and no other method or path", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (requests) => {
      // Of one method and path either all were recorded with a body, or none.
      const withBody = new Map<string, boolean>();
      const recorded = requests.filter(({ method, path, body }) => {
        if (method === "GET" && body !== undefined) return false; // refused by every filter
        const key = `${method} ${path}`;
        const first = withBody.get(key) ?? body !== undefined;
        withBody.set(key, first);
        return first === (body !== undefined);
      });
      const rules = writeRules(learnHttp(recorded), []);
      await using trial = await openHttpTrial(rules, { file: "proposed.yaml", clock: systemClock });
      for (const each of recorded) {
        const { decisions } = await trial.try(asText(each));
        expect(decisions.at(-1), `${asText(each)}\n${rules}`).toMatchObject({ decision: "allow" });
      }
      expect((await trial.try("GET /never/seen/by/any")).decisions).toMatchObject([{ decision: "block", rule: "default" }]);
      expect((await trial.try("PUT /api")).decisions).toMatchObject([{ decision: "block", rule: "default" }]);
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

test("the first proposed pattern that matches a line has ranges which hold it", () => {
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 30 }), (lines) => {
      const rules = learnSerial(lines.map((each) => ({ line: each }))).map(
        ({ rule }) => rule as { allow: string; groups?: Record<string, { minimum: number; maximum: number }> },
      );
      for (const each of lines) {
        const found = rules.find(({ allow }) => new RegExp(`^(?:${allow})$`, "su").test(each));
        const parts = new RegExp(`^(?:${found?.allow})$`, "su").exec(each)?.groups ?? {};
        for (const [name, { minimum, maximum }] of Object.entries(found?.groups ?? {})) {
          expect(Number(parts[name])).toBeGreaterThanOrEqual(minimum);
          expect(Number(parts[name])).toBeLessThanOrEqual(maximum);
        }
        expect(found, each).toBeDefined();
      }
    }),
  );
});
