import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseYamlWith, systemClock } from "@hardshare/runtime";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import * as z from "zod";
import { OPEN_TRIAL } from "./trial/try-messages.ts";
import type { TriedMessage } from "./trial/trial.ts";

const folder = fileURLToPath(new URL("../../../conformance/filter-rules", import.meta.url));

const expectation = {
  decision: z.enum(["allow", "block"]),
  rule: z.string(),
  because: z.string().optional(),
  reaches: z.array(z.string()).optional(),
};
const Cases = z.array(
  z.strictObject({
    name: z.string(),
    rules: z.record(z.string(), z.unknown()),
    messages: z
      .array(z.union([z.strictObject({ in: z.string(), ...expectation }), z.strictObject({ out: z.string(), ...expectation })]))
      .min(1),
  }),
);

function read(file: string): z.infer<typeof Cases> {
  return parseYamlWith(z.object({ cases: Cases }), `cases:\n${readFileSync(file, "utf8").replaceAll(/^(?=.)/gm, "  ")}`, file).cases;
}

function told({ decisions, reached }: TriedMessage) {
  const last = decisions.at(-1);
  return { decision: last?.decision, rule: last?.rule, because: last?.because ?? "", reaches: reached };
}

describe.each(Object.entries(OPEN_TRIAL))("vectors of the filter %s", (kind, openTrial) => {
  const files = readdirSync(join(folder, kind)).filter((name) => name.endsWith(".yaml"));
  describe.each(files)("%s", (name) => {
    const cases = read(join(folder, kind, name));
    test("has each name once", () => {
      expect(new Set(cases.map((each) => each.name)).size).toBe(cases.length);
    });
    test.each(cases)("$name", async ({ rules, messages }) => {
      await using trial = await openTrial(stringify(rules), { file: name, clock: systemClock });
      for (const expected of messages) {
        const [direction, message] = "in" in expected ? (["in", expected.in] as const) : (["out", expected.out] as const);
        const { decision, rule, because = "", reaches } = expected;
        expect(told(await trial.try(message, direction)), message).toEqual({
          decision,
          rule,
          because: expect.stringContaining(because),
          reaches: reaches ?? (decision === "allow" ? [message] : []),
        });
      }
    });
  });
});
