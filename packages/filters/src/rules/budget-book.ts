import type { Clock } from "@hardshare/runtime";
import { BudgetAccount, type BudgetEntry } from "./budget-account.ts";
import { BudgetFile } from "./budget-file.ts";

/** Where budgets are written down, so that a crash can't refill them. */
export interface BudgetBook extends Disposable {
  /** Whether the filter was started again for the same instance: rates then start empty. */
  readonly isContinued: boolean;
  /**
   * The account of one budget: the same for the same name, with what was used of it.
   * @param windowMs how long what was used counts for the one who asks, which is kept at least; undefined: for ever
   */
  account(name: string, windowMs: number | undefined): BudgetAccount;
}

/**
 * Opens the book of one service of one instance.
 * @param file it is kept there; undefined: in memory only, so that a new start refills budgets
 * @throws AppError `config_invalid`: the file can't be used, or is none of ours
 */
export function openBudgetBook({ file, clock }: { readonly file: string | undefined; readonly clock: Clock }): BudgetBook {
  const kept = file === undefined ? undefined : BudgetFile.open(file);
  const accounts = new Map<string, BudgetAccount>();
  const write = (name: string, entry: BudgetEntry) =>
    kept?.append(name, entry, () => [...accounts].map(([name, account]) => [name, account.entries] as const));
  for (const [name, entries] of kept?.found ?? [])
    accounts.set(name, new BudgetAccount({ clock, entries, write: (entry) => write(name, entry) }));
  return {
    isContinued: kept?.isContinued ?? false,
    account(name, windowMs) {
      let account = accounts.get(name);
      if (account === undefined) {
        account = new BudgetAccount({ clock, entries: [], write: (entry) => write(name, entry) });
        accounts.set(name, account);
      }
      account.keepFor(windowMs);
      return account;
    },
    [Symbol.dispose]: () => kept?.[Symbol.dispose](),
  };
}
