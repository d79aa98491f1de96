import { AppError, Contract, HttpFilterRules } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { parseYamlWith } from "./yaml-files.ts";

/** Text with the marks of YAML and the words of our files in it. */
const yamlText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "\n",
        "  ",
        "- ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "&a",
        "*a",
        "!!binary ",
        "<<: *a",
        "|",
        ">",
        "%",
        "---\n",
        "? ",
        "#",
        "'",
        '"',
        "\t",
      ),
      fc.constantFrom("provider", "podman", "services", "rules", "allow", "default", "POST /a", "timeout", "init", "~", "1e999", "0x1"),
      fc.string({ unit: "binary", maxLength: 4 }),
    ),
    { maxLength: 40 },
  )
  .map((pieces) => pieces.join(""));
const deep = fc
  .tuple(fc.constantFrom("[", "{a: ", "- ", "? ", "- [", "a:\n"), fc.integer({ min: 1, max: 20_000 }))
  .map(([mark, times]) =>
    mark === "a:\n" ? Array.from({ length: times / 10 }, (_, index) => `${" ".repeat(index)}${mark}`).join("") : mark.repeat(times),
  );

test("a file is taken, or refused with what is wrong where", () => {
  fc.assert(
    fc.property(
      fc.oneof({ arbitrary: yamlText, weight: 20 }, { arbitrary: deep, weight: 1 }),
      fc.constantFrom(Contract, HttpFilterRules),
      (text, schema) => {
        try {
          parseYamlWith(schema, text, "test.yaml");
        } catch (error) {
          expect(error).toBeInstanceOf(AppError);
          const { code, message } = error as AppError;
          expect({ code, message }).toEqual({ code: "config_invalid", message: expect.stringMatching(/^test\.yaml:\d+:\d+: ./) });
        }
      },
    ),
  );
});

test("what is nested too deeply is refused with its line", () => {
  expect(() => parseYamlWith(Contract, `a:\n  - ${"[".repeat(20_000)}`, "test.yaml")).toThrow(
    /^test\.yaml:2:1: expected at most 100 levels/,
  );
});

test("values of any shape in a file's place are refused with the field", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      try {
        parseYamlWith(Contract, stringify({ provider: value, services: value, init: value }), "test.yaml");
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
      }
    }),
  );
});
