import { groupBy } from "./group-by.ts";
import { inferNumber, type ProposedSchema } from "./infer-schema.ts";
import type { ProposedRule } from "./proposed-rules.ts";
import type { SerialMessage } from "./read-decisions.ts";

/** So many values of a number must differ before a rule has a range in its place. */
const MIN_DIFFERENT = 3;
/** A number in a line; the digits of a word such as `X2Y` are numbers too. */
const NUMBER = /[+-]?(?:\d+\.?\d*|\.\d+)/g;
const NUMBER_SOURCE = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)";
/** The pattern of an empty line. */
const EMPTY = "(?:)";
/** Longer ones are no numbers to the filter. */
const MAX_DIGITS = 15;

/** A line as texts and the numbers between them: one more text than numbers. */
interface Parts {
  readonly texts: readonly string[];
  readonly numbers: readonly string[];
  readonly line: string;
}

/**
 * Proposes a rule for each form of line: numbers that differ become named parts with a range. The first number of a line
 * stays as it is: it is mostly part of a command, such as the 1 of `G1`.
 */
export function learnSerial(messages: readonly SerialMessage[]): ProposedRule[] {
  const forms = groupBy(
    messages.map(({ line }) => cut(line)),
    ({ texts, numbers }) => JSON.stringify([texts, numbers[0]]),
  );
  const rules = [...forms.values()].flatMap(proposeForm);
  const ordered = rules.toSorted((a, b) => countGroups(a) - countGroups(b));
  // A rule of its own, before all others, for each line that an earlier rule than its own would decide.
  const expressions = ordered.map(({ rule }) => new RegExp(`^(?:${rule.allow})$`, "su"));
  const exceptions = ordered.flatMap(({ lines }, index) =>
    lines.filter((line) => expressions.findIndex((each) => each.test(line)) < index),
  );
  const literal = [...groupBy(exceptions, (line) => line)].map(([line, { length }]) => ({
    count: length,
    rule: { allow: escape(line) || EMPTY },
  }));
  return [...literal, ...ordered.map(({ lines, rule }) => ({ count: lines.length, rule }))];
}

/** A rule, and the lines that it was made of. */
interface LineRule {
  readonly lines: readonly string[];
  readonly rule: { readonly allow: string; readonly groups?: Readonly<Record<string, ProposedSchema>> };
}

function countGroups({ rule }: LineRule): number {
  return Object.keys(rule.groups ?? {}).length;
}

function cut(line: string): Parts {
  const texts: string[] = [];
  const numbers: string[] = [];
  let done = 0;
  for (const { index, 0: number } of line.matchAll(NUMBER)) {
    if (number.replace(/\D/g, "").length > MAX_DIGITS) continue;
    texts.push(line.slice(done, index));
    numbers.push(number);
    done = index + number.length;
  }
  return { texts: [...texts, line.slice(done)], numbers, line };
}

/** Lines of the same texts: numbers of which few differ stay as they are, each combination of them a rule of its own. */
function proposeForm(lines: readonly Parts[]): LineRule[] {
  const [first] = lines;
  if (first === undefined) return [];
  const varying = first.numbers.map(
    (_number, place) => place > 0 && new Set(lines.map(({ numbers }) => numbers[place])).size >= MIN_DIFFERENT,
  );
  const rules = groupBy(lines, ({ numbers }) => JSON.stringify(numbers.filter((_number, place) => varying[place] === false)));
  return [...rules.values()].map((each) => proposeRule(each, varying));
}

function proposeRule(lines: readonly Parts[], varying: readonly boolean[]): LineRule {
  const { texts, numbers } = lines[0] ?? { texts: [""], numbers: [], line: "" };
  const groups: Record<string, ProposedSchema> = {};
  let allow = escape(texts[0] ?? "");
  for (const [place, number] of numbers.entries()) {
    if (varying[place] === true) {
      const name = nameAfter(texts[place] ?? "", groups);
      groups[name] = inferNumber(lines.map((line) => Number(line.numbers[place])));
      allow += `(?<${name}>${NUMBER_SOURCE})`;
    } else {
      allow += escape(number);
    }
    allow += escape(texts[place + 1] ?? "");
  }
  return { lines: lines.map(({ line }) => line), rule: { allow: allow || EMPTY, ...(Object.keys(groups).length === 0 ? {} : { groups }) } };
}

/** The word before a number, or `n`, with a number when it is taken. */
function nameAfter(text: string, taken: Readonly<Record<string, unknown>>): string {
  const word = /([A-Za-z]\w{0,15})\W*$/.exec(text)?.[1]?.toLowerCase() ?? "n";
  let name = word;
  for (let count = 2; Object.hasOwn(taken, name); count += 1) name = `${word}${count}`;
  return name;
}

/** The text as a regular expression: each character of it, those that can't be read in a file as \xNN. */
function escape(text: string): string {
  return text
    .replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")
    .replaceAll(/[^ -~]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
