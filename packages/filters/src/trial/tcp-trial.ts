import { isIP } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { plainAddress } from "../rules/peer-pattern.ts";
import { judgePeer, parseTcpRules } from "../rules/tcp-rules.ts";
import type { Trial } from "./trial.ts";

/**
 * Tries connections on what the filter is made of. A message is the address of a peer; each connection stays open, so that
 * those before it count.
 * @throws AppError `config_invalid`
 */
export async function openTcpTrial(rulesText: string, { file, clock }: { file: string; clock: Clock }): Promise<Trial> {
  const limits = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
  const rules = parseTcpRules(rulesText, file, limits);
  const open: string[] = [];
  return {
    async try(message) {
      const address = plainAddress(message.trim());
      if (isIP(address) === 0) {
        throw new AppError("bad_input", `expected the address of a peer, such as 127.0.0.1, not: ${message.slice(0, 100)}`, {
          details: { field: "messages" },
        });
      }
      const verdict = judgePeer(rules, address, (rule) => open.filter((other) => other === rule).length);
      const { rule } = verdict;
      const because = verdict.decision === "block" ? verdict.because : verdict.matched?.limits?.take(undefined);
      const told = { direction: "in", mode: rules.mode, rule, summary: `connection from ${address}` } as const;
      const passes = because === undefined || rules.mode === "shadow";
      if (passes) open.push(rule);
      return {
        message,
        decisions: [because === undefined ? { ...told, decision: "allow" } : { ...told, decision: "block", because }],
        reached: passes ? [message] : [],
      };
    },
    async [Symbol.asyncDispose]() {},
  };
}
