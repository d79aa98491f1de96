import { findArgumentProblem, type ProcedureProblem } from "./procedure.ts";

/** A text in which `{name}` stands for a value. */
export interface ArgumentTemplate {
  readonly source: string;
  readonly names: readonly string[];
  /** Whether a value stands at its very beginning. */
  readonly beginsWithValue: boolean;
  /** With the values put in; undefined when one is missing. */
  fill(textOf: (name: string) => string | undefined): string | undefined;
}

const PLACE = /\{([A-Za-z_][\w-]*)\}/;

/** Compiles a text: what is no `{name}` stands for itself. */
export function compileArgument(source: string): ArgumentTemplate {
  const parts = source.split(PLACE); // texts and names by turns
  const names = parts.filter((_part, index) => index % 2 === 1);
  return {
    source,
    names,
    beginsWithValue: names.length > 0 && parts[0] === "",
    fill(textOf) {
      let filled = "";
      for (const [index, part] of parts.entries()) {
        const text = index % 2 === 0 ? part : textOf(part);
        if (text === undefined) return undefined;
        filled += text;
      }
      return filled;
    },
  };
}

/**
 * The arguments with the values put in. One with a value that is missing is left out, if other text stands before it:
 * else those after it would be taken for it.
 */
export function fillArguments(
  templates: readonly ArgumentTemplate[],
  textOf: (name: string) => string | undefined,
): readonly string[] | ProcedureProblem {
  const filled: string[] = [];
  let mayBeOptions = true;
  for (const template of templates) {
    const argument = template.fill(textOf);
    if (argument === undefined) {
      if (!template.beginsWithValue) continue;
      return { problem: `${template.names.find((name) => textOf(name) === undefined)} is missing`, status: 400 };
    }
    if (template.names.length > 0) {
      const problem = findArgumentProblem(argument, template.names.join(", "), mayBeOptions && template.beginsWithValue);
      if (problem !== undefined) return { problem, status: 400 };
    } else if (argument === "--") mayBeOptions = false;
    filled.push(argument);
  }
  return filled;
}

/** Programs that read an argument as a program of their own. */
const INTERPRETERS = /^(?:(?:ba|da|z|k|c|tc|a|fi)?sh|busybox|python[\d.]*|perl|ruby|node|lua|php|awk|gawk|mawk|sed|eval|su)$/;
/** The option before such an argument. */
const PROGRAM_FOLLOWS = /^-(?:[A-Za-z]*[cerE]|c[A-Za-z]+|-(?:eval|print|expression))$/;

/**
 * Whether the argument at this place is read as a program, by an interpreter before it, or by the shell at the far end of
 * ssh: a text of the user there would be run.
 */
export function isReadAsProgram(command: readonly string[], index: number): boolean {
  const before = command.slice(0, index).map((text) => text.slice(text.lastIndexOf("/") + 1));
  if (before.includes("ssh") || before.includes("eval")) return true;
  const interpreter = before.findIndex((text) => INTERPRETERS.test(text));
  if (interpreter === -1) return false;
  if (/^(?:awk|gawk|mawk|sed)$/.test(before[interpreter] ?? "") && index === interpreter + 1) return true;
  return PROGRAM_FOLLOWS.test(command[index - 1] ?? "");
}
