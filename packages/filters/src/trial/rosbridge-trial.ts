import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import { InputJudge } from "../rosbridge/input-judge.ts";
import { OpenOperations } from "../rosbridge/open-operations.ts";
import { OutputJudge } from "../rosbridge/output-judge.ts";
import { openBudgetBook } from "../rules/budget-book.ts";
import { LimitKeeper } from "../rules/limits.ts";
import { fixedRules } from "../rules/live-rules.ts";
import { parseRosbridgeRules } from "../rules/rosbridge-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import type { Trial } from "./trial.ts";

/** `OPERATION /name [type] [message]`, such as `publish /cmd_vel {"linear":{"x":0.2}}`. */
const SHORT = /^([a-z_]+) (\/\S*)(?: ([A-Za-z]\S*))?(?: (\{[^]*))?$/;

/**
 * Tries messages of one connection on what the filter is made of, without a robot. A message is an operation in short or
 * as JSON, as the protocol has it; one that comes `out` from the device is JSON.
 * @throws AppError `config_invalid`
 */
export async function openRosbridgeTrial(rulesText: string, { file, clock }: { file: string; clock: Clock }): Promise<Trial> {
  const limits = new LimitKeeper({ clock, book: openBudgetBook({ file: undefined, clock }) });
  let decisions: Judgement[] = [];
  const shared = {
    rules: fixedRules(parseRosbridgeRules(rulesText, file, limits)),
    open: new OpenOperations(""),
    onDecision: (judgement: Judgement) => void decisions.push(judgement),
  };
  const input = new InputJudge(shared);
  const output = new OutputJudge(shared);
  return {
    async try(message, direction = "in") {
      decisions = [];
      const isJson = /^\s*[[{]/.test(message);
      if (direction === "out") {
        const passed = output.judge(message);
        return { message, decisions, reached: passed === undefined ? [] : [passed] };
      }
      const { toDevice } = input.judge(isJson ? message : writeWhole(message));
      if (toDevice === undefined) return { message, decisions, reached: [] };
      return { message, decisions, reached: [isJson ? toDevice : shorten(toDevice, message)] };
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** The operation in short as the protocol has it. @throws AppError `bad_input` */
function writeWhole(message: string): string {
  const [, op = "", name = "", type, text] = SHORT.exec(message) ?? [];
  if (op === "") {
    throw new AppError(
      "bad_input",
      `expected an operation such as \`publish /cmd_vel {"linear":{"x":0.2}}\` or JSON, not: ${message.slice(0, 100)}`,
      {
        details: { field: "messages" },
      },
    );
  }
  const isAction = op.endsWith("_action_goal");
  const head = JSON.stringify({
    op,
    ...(isAction ? { id: name } : {}),
    [op === "call_service" ? "service" : isAction ? "action" : "topic"]: name,
    ...(type === undefined ? {} : { [isAction ? "action_type" : "type"]: type }),
  });
  return text === undefined ? head : `${head.slice(0, -1)},"${op === "publish" ? "msg" : "args"}":${text}}`;
}

/** What reached the device, in short: as it was written when nothing of it was changed. */
function shorten(toDevice: string, message: string): string {
  const { op, topic, service, action, msg, args } = JSON.parse(toDevice) as Record<string, string | undefined>;
  const [, , , type, text] = SHORT.exec(message) ?? [];
  const passed = JSON.stringify(msg ?? args);
  if (text === undefined || passed === JSON.stringify(JSON.parse(text))) return message;
  return [op, topic ?? service ?? action, type, passed].filter((part) => part !== undefined).join(" ");
}
