/** A pattern for whole messages of a serial line, whose characters stand for bytes. */
export interface LinePattern {
  readonly source: string;
  /** Names of its parts. */
  readonly names: readonly string[];
  match(text: string): LineMatch | undefined;
  /**
   * Whether a device could take the text for one that matches: in another letter case, with blanks, control characters and
   * bytes beyond ASCII in it or around it, or with several blanks or a tab for one.
   */
  matchesLoosely(text: string): boolean;
}

/** The named parts that are there, each with where it stands. */
export type LineMatch = ReadonlyMap<string, { readonly text: string; readonly start: number; readonly end: number }>;

/** What devices leave out of a line: control characters, and some (GRBL) also bytes beyond ASCII. */
// oxlint-disable-next-line no-control-regex -- these are what it is about
const DROPPED = [/[\0-\x1f\x7f]/g, /[\0-\x1f\x7f-\xff]/g];

/**
 * Compiles a regular expression (ECMAScript, in its strict form, `u`) that must match the whole text.
 * @returns the pattern, or what is wrong with it
 */
export function compileLinePattern(source: string): LinePattern | { readonly problem: string } {
  const problem = findProblem(source);
  if (problem !== undefined) return { problem: `expected a regular expression of ECMAScript: ${problem}` };
  const repeated = findRepeatedPart(source);
  if (repeated !== undefined) {
    return { problem: `expected no named part in what may be repeated: of (?<${repeated}>…) only the last would be judged` };
  }
  const whole = `^(?:${source})$`;
  const exact = new RegExp(whole, "du");
  const loose = new RegExp(whole, "iu");
  return {
    source,
    names: namesIn(source),
    match(text) {
      const match = exact.exec(text);
      if (match === null) return undefined;
      const parts = new Map<string, { text: string; start: number; end: number }>();
      for (const [name, range] of Object.entries(match.indices?.groups ?? {})) {
        // An optional part that is not there has no range, whatever the declaration says.
        const [start, end] = (range as [number, number] | undefined) ?? [undefined, undefined];
        if (start !== undefined && end !== undefined) parts.set(name, { text: text.slice(start, end), start, end });
      }
      return parts;
    },
    matchesLoosely(text) {
      if (loose.test(text)) return true;
      return DROPPED.some((dropped) => {
        const printed = text.replace(dropped, "");
        if ([printed, printed.trim(), printed.replaceAll(" ", "")].some((form) => loose.test(form))) return true;
        const evenlySpaced = text.replaceAll("\t", " ").replace(dropped, "");
        return loose.test(evenlySpaced.replace(/ +/g, " ").trim());
      });
    },
  };
}

/** What is wrong with it by itself: a bracket too many must not reach the anchors. */
function findProblem(source: string): string | undefined {
  try {
    "".search(new RegExp(source, "u"));
    return undefined;
  } catch (error) {
    return (error as Error).message.replace(/^Invalid regular expression: /, "").replace(/^\/.*\/u: /s, "");
  }
}

/** The tokens of a regular expression that matter here; those in a class or behind a backslash are no group. */
const TOKENS = /\\.|\[(?:\\.|[^\]\\])*\]|\((?:\?<(?<name>[A-Za-z_$][\w$]*)>|\?(?:<?[=!]|:))?|\)|\{(?<least>\d+)(?<more>,\d*)?\}|[*+]/gsu;

/** A named part inside a group, or itself a group, that may match several times: the parser keeps only the last. */
function findRepeatedPart(source: string): string | undefined {
  const open: string[][] = [[]];
  let closed: string[] = [];
  let closedAt = -1;
  for (const token of source.matchAll(TOKENS)) {
    const [text] = token;
    if (text.startsWith("(")) {
      const name = token.groups?.["name"];
      open.push(name === undefined ? [] : [name]);
    } else if (text === ")") {
      closed = open.pop() ?? [];
      closedAt = token.index + 1;
      open.at(-1)?.push(...closed);
    } else if (token.index === closedAt && closed.length > 0 && mayRepeat(text, token.groups)) return closed[0];
  }
  return undefined;
}

function mayRepeat(text: string, groups: Record<string, string | undefined> | undefined): boolean {
  if (text === "*" || text === "+") return true;
  if (!text.startsWith("{")) return false;
  const most = groups?.["more"] === undefined ? groups?.["least"] : groups["more"].slice(1);
  return most === "" || Number(most) > 1;
}

function namesIn(source: string): string[] {
  return [...source.matchAll(TOKENS)].flatMap((token) => token.groups?.["name"] ?? []);
}
