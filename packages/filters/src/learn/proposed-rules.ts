import { stringify } from "yaml";

/** A rule that is proposed, as it is written into a rules file. */
export interface ProposedRule {
  /** How many messages it was made of. */
  readonly count: number;
  readonly rule: Readonly<Record<string, unknown>>;
  /** What its owner should know. */
  readonly remark?: string;
}

/** Longest line of a proposal: patterns stay whole. */
const LINE_WIDTH = 0;

/** The proposal as the text of a rules file, with comments. A file of `rpc` has no default: there is nothing to run. */
export function writeRules(rules: readonly ProposedRule[], remarks: readonly string[], kind?: "rpc"): string {
  const head = [
    "Proposed by `filter learn` from what passed. Read each rule before you use it: ranges are those that were seen, and what",
    "was not seen is blocked.",
    ...remarks,
  ];
  const texts = rules.map(({ count, rule, remark }) => {
    const comment = `${count === 1 ? "1 message" : `${count} messages`}${remark === undefined ? "" : `; ${remark}`}`;
    return `  # ${comment}\n${indent(stringify([rule], { lineWidth: LINE_WIDTH }))}`;
  });
  return `${head.map((line) => `# ${line}\n`).join("")}${kind === "rpc" ? "" : "default: block\n"}rules:${texts.length === 0 ? " []\n" : `\n${texts.join("")}`}`;
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, "  ");
}
