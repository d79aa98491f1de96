import type { Clock } from "@hardshare/runtime";
import { openBudgetBook } from "../rules/budget-book.ts";
import { parseHttpRules } from "../rules/http-rules.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { readRules } from "../rules/live-rules.ts";
import type { FilterKind } from "./filter-kind.ts";

/** How the rules of each kind of filter are read; of a kind that is not here nothing is known before its filter reads them. */
const PARSERS: Readonly<Record<string, FilterKind<unknown>["parseRules"]>> = { http: parseHttpRules };

/**
 * Reads a rules file as a filter of this kind would.
 * @throws AppError `config_invalid` with file, line, column, field and what was expected
 */
export async function checkRulesFile(options: { filter: string; file: string; clock: Clock }): Promise<void> {
  const { filter, file, clock } = options;
  const parse = PARSERS[filter];
  if (parse === undefined) return;
  using book = openBudgetBook({ file: undefined, clock });
  const limits = new LimitKeeper({ clock, book });
  await readRules(file, (text, name) => parse(text, name, limits));
}
