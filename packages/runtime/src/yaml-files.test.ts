import { AppError } from "@hardshare/protocol";
import { expect, test } from "vitest";
import * as z from "zod";
import { parseYamlWith } from "./yaml-files.ts";

const Schema = z.strictObject({
  name: z.string(),
  size: z.number().default(1),
  rules: z
    .array(z.union([z.strictObject({ allow: z.string(), because: z.string().optional() }), z.strictObject({ block: z.string() })]))
    .default([]),
});

function problemsOf(text: string): string[] {
  try {
    parseYamlWith(Schema, text, "robot.yaml");
  } catch (error) {
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe("config_invalid");
    return (error as AppError).message.split("\n");
  }
  throw new Error("the file was accepted");
}

test("a valid file gives the schema's output", () => {
  expect(parseYamlWith(Schema, "name: a\nrules:\n  - block: x\n", "f")).toEqual({ name: "a", size: 1, rules: [{ block: "x" }] });
});

test("a wrong value is reported where it stands", () => {
  expect(problemsOf("name: a\nsize: big\n")).toEqual(["robot.yaml:2:7: size: expected number, received string"]);
});

test("a field that is missing is reported where the one around it stands", () => {
  expect(problemsOf("size: 2\n")).toEqual(["robot.yaml:1:1: name: expected string, but it is missing"]);
});

test("an empty file counts as an empty mapping", () => {
  expect(problemsOf("# nothing\n")).toEqual(["robot.yaml:1:1: name: expected string, but it is missing"]);
});

test("an unknown field is reported at its key, each on a line of its own", () => {
  expect(problemsOf("name: a\nsiez: 1\ncolour: red\n")).toEqual([
    "robot.yaml:2:1: siez: there is no field of this name here",
    "robot.yaml:3:1: colour: there is no field of this name here",
  ]);
});

test("of a union only the form that was meant is reported", () => {
  expect(problemsOf("name: a\nrules:\n  - block: 5\n    speed: 2\n")).toEqual([
    "robot.yaml:3:12: rules.0.block: expected string, received number",
    "robot.yaml:4:5: rules.0.speed: there is no field of this name here",
  ]);
});

test("of a union the form of the value's own kind is reported", () => {
  const Entry = z.strictObject({ init: z.array(z.union([z.string(), z.strictObject({ run: z.string(), timeout: z.number() })])) });
  expect(() => parseYamlWith(Entry, "init:\n  - { run: ./a.sh, timeout: soon }\n", "f")).toThrow("f:2:29: init.0.timeout: expected number");
});

test("broken YAML is reported with its line and column", () => {
  expect(problemsOf("name: a\nrules: [\n")[0]).toMatch(/^robot\.yaml:3:1: .*flow/i);
});

test("a field given twice is refused", () => {
  expect(problemsOf("name: a\nname: b\n")[0]).toMatch(/^robot\.yaml:2:1: .*unique/);
});

test("an alias without its anchor is refused", () => {
  expect(problemsOf("name: *nobody\n")[0]).toMatch(/^robot\.yaml:\d+:\d+: .*nobody/);
});

test("of a union the form is reported whose required fields are there, however many others are wrong", () => {
  expect(problemsOf("name: a\nrules:\n  - { block: x, rate: 1/s, body: {}, clamp: {} }\n")).toEqual([
    expect.stringMatching(/rules\.0\.rate: there is no field/),
    expect.stringMatching(/rules\.0\.body: there is no field/),
    expect.stringMatching(/rules\.0\.clamp: there is no field/),
  ]);
});

test("what was expected is told in words of the file", () => {
  expect(problemsOf("name: [a]\nrules: {}\n")).toEqual([
    "robot.yaml:1:7: name: expected string, received list",
    "robot.yaml:2:8: rules: expected list, received mapping",
  ]);
});
