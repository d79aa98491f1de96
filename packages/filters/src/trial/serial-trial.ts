import type { Clock } from "@hardshare/runtime";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { fixedRules } from "../rules/live-rules.ts";
import { parseSerialRules } from "../rules/serial-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { SerialFramer } from "../serial/framer.ts";
import { MessageJudge } from "../serial/message-judge.ts";
import type { Trial } from "./trial.ts";

/**
 * Tries messages of a serial line on what the filter is made of, without a device. A message is what stands before its
 * end, a character for each byte; what in it ends a message, or is one of its own, is cut as on the line.
 * @throws AppError `config_invalid`
 */
export async function openSerialTrial(rulesText: string, { file, clock }: { file: string; clock: Clock }): Promise<Trial> {
  const limits = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
  const rules = fixedRules(parseSerialRules(rulesText, file, limits));
  const { messages } = rules.current;
  const end = messages.length !== undefined ? "" : Array.isArray(messages.end) ? Buffer.from(messages.end).toString("latin1") : "\n";
  return {
    async try(message, direction = "in") {
      const decisions: Judgement[] = [];
      const judge = new MessageJudge({ direction, rules, onDecision: (judgement) => decisions.push(judgement) });
      const framer = new SerialFramer(direction === "in" ? messages : { ...messages, realtime: [] });
      const isWhole = direction === "in" && message.length === 1 && messages.realtime.includes(message.charCodeAt(0));
      framer.push(Buffer.from(isWhole ? message : message + end, "latin1"));
      const reached: string[] = [];
      for (let piece = framer.next(); piece !== undefined; piece = framer.next()) {
        const text = judge.judge(piece).bytes?.toString("latin1");
        if (text === undefined || piece.kind === "line feed") continue;
        reached.push(piece.kind === "message" ? text.slice(0, text.length - piece.end.length) : text);
      }
      return { message, decisions, reached };
    },
    async [Symbol.asyncDispose]() {},
  };
}
