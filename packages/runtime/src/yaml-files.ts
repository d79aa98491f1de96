import { AppError } from "@hardshare/protocol";
import { type Document, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, type Node, parseDocument } from "yaml";
import type * as z from "zod";

/** One thing that is wrong in a file; `line` and `column` count from 1. */
export interface FileProblem {
  line: number;
  column: number;
  /** Path of the field, such as `rules.0.allow`; empty for the file as a whole. */
  field: string;
  expected: string;
}

/** Deepest nesting that is read: the parser calls itself for each level, and Node aborts when that is too deep for its stack. */
const MAX_DEPTH = 100;

/**
 * Reads YAML text and checks it against a schema. An empty file counts as `{}`.
 * @param file name of the file, for messages only
 * @throws AppError `config_invalid`: one line for each problem with file, line, column, field and what was expected;
 *   `details.problems` are `FileProblem`s
 */
export function parseYamlWith<Schema extends z.ZodType>(schema: Schema, text: string, file: string): z.output<Schema> {
  const tooDeepAt = findTooDeep(text);
  if (tooDeepAt !== undefined) {
    const expected = `expected at most ${MAX_DEPTH} levels of lists and mappings inside each other`;
    throw invalidFile(file, [{ line: tooDeepAt, column: 1, field: "", expected }]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    ...positionAt(lines, error.pos[0]),
    field: "",
    expected: error.message,
  }));
  if (syntax.length > 0) throw invalidFile(file, syntax);
  const result = schema.safeParse(readValues(document, file) ?? {});
  if (result.success) return result.data;
  throw invalidFile(
    file,
    result.error.issues.flatMap((issue) => describeIssue(issue, [], document, lines)),
    result.error,
  );
}

/** The line at which lists and mappings are nested too deeply, by brackets or by marks one after the other. */
function findTooDeep(text: string): number | undefined {
  let line = 1;
  let indent = 0;
  let brackets = 0;
  let marks = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === "[" || token === "{") brackets += 1;
    else if (token === "]" || token === "}") brackets -= 1;
    else if (token === "-" || token === "?") marks += 1;
    else if (token.includes("\n")) {
      line += token.split("\n").length - 1;
      marks = 0;
      indent = 0;
    } else if (marks === 0 && /^ +$/.test(token)) indent = token.length;
    if (brackets + marks > MAX_DEPTH || indent > 10 * MAX_DEPTH) return line;
  }
  return undefined;
}

function readValues(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    // What parses can still be refused here: too many aliases, or an alias without its anchor.
    throw invalidFile(file, [{ line: 1, column: 1, field: "", expected: (error as Error).message }], error);
  }
}

function invalidFile(file: string, problems: FileProblem[], cause?: unknown): AppError {
  const text = problems.map(({ line, column, field, expected }) => `${file}:${line}:${column}: ${field ? `${field}: ` : ""}${expected}`);
  return new AppError("config_invalid", text.join("\n"), { details: { file, problems }, cause });
}

function describeIssue(issue: z.core.$ZodIssue, above: PropertyKey[], document: Document.Parsed, lines: LineCounter): FileProblem[] {
  const path = [...above, ...issue.path];
  if (issue.code === "invalid_union") {
    // A union fails with the issues of every form: only those of the form that was probably meant help.
    const lacks = (issues: readonly z.core.$ZodIssue[]) => issues.filter((inner) => isMissing([...path, ...inner.path], document)).length;
    const meant = issue.errors.toSorted(
      (a, b) => Number(isOfOtherKind(a)) - Number(isOfOtherKind(b)) || lacks(a) - lacks(b) || countIssues(a) - countIssues(b),
    )[0];
    if (meant !== undefined && meant.length > 0) return meant.flatMap((inner) => describeIssue(inner, path, document, lines));
  }
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      ...positionAt(lines, offsetOf(document, [...path, key], "key")),
      field: [...path, key].map(String).join("."),
      expected: "there is no field of this name here",
    }));
  }
  return [
    { ...positionAt(lines, offsetOf(document, path, "value")), field: path.map(String).join("."), expected: expectation(issue.message) },
  ];
}

/** Whether the value as a whole is of another kind, such as a text in place of a mapping. */
function isOfOtherKind(issues: readonly z.core.$ZodIssue[]): boolean {
  return issues.some(
    (issue) =>
      issue.path.length === 0 &&
      (issue.code === "invalid_type" || (issue.code === "invalid_union" && issue.errors.length > 0 && issue.errors.every(isOfOtherKind))),
  );
}

function countIssues(issues: readonly z.core.$ZodIssue[]): number {
  return issues.reduce((sum, issue) => sum + (issue.code === "unrecognized_keys" ? issue.keys.length : 1), 0);
}

/** What was expected, in words of the file: without those of the schema library and of JavaScript. */
function expectation(message: string): string {
  return message
    .replace(/^Invalid (input|option): /, "")
    .replace(/, received undefined$/, ", but it is missing")
    .replaceAll(/\barray\b/g, "list")
    .replaceAll(/\b(object|record)\b/g, "mapping");
}

/** Whether a field that an issue is about is not in the file. */
function isMissing(path: readonly PropertyKey[], document: Document.Parsed): boolean {
  return path.length > 0 && !document.hasIn(path);
}

function positionAt(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** Where the field stands; for one that is missing, where the nearest one around it stands. */
function offsetOf(document: Document.Parsed, path: readonly PropertyKey[], part: "key" | "value"): number {
  let node: Node | null | undefined = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, segment] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(segment));
      if (pair === undefined) return offset;
      const wanted = part === "key" && depth === path.length - 1 ? pair.key : (pair.value ?? pair.key);
      offset = (wanted as Node).range?.[0] ?? offset;
      node = pair.value as Node | null;
    } else if (isSeq(node)) {
      node = node.items[Number(segment)] as Node | undefined;
      offset = node?.range?.[0] ?? offset;
    } else {
      return offset;
    }
  }
  return offset;
}
