import type { LiveRules } from "../rules/live-rules.ts";
import { parseStrictJson } from "../rules/json-text.ts";
import { explain } from "../rules/request-conditions.ts";
import {
  type CompiledRosbridgeRule,
  type CompiledRosbridgeRules,
  findTypeProblem,
  matchRosbridge,
  type RuledOperation,
} from "../rules/rosbridge-rules.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { Fragments } from "./fragments.ts";
import type { OpenOperations } from "./open-operations.ts";
import { type Operation, readOperation, writeOperation } from "./operation.ts";
import { tellRefusal } from "./refusal.ts";
import { summarise } from "./summary.ts";

/** Largest message of a client, also of fragments that were joined. */
export const INPUT_LIMIT_BYTES = 1024 ** 2;

/** What becomes of one message of a client. */
export interface InputPassage {
  /** What passes; undefined for nothing. */
  readonly toDevice?: string;
  /** What the client is told of a refusal. */
  readonly toClient?: readonly string[];
}

interface InputJudgeOptions {
  readonly rules: LiveRules<CompiledRosbridgeRules>;
  readonly open: OpenOperations;
  readonly onDecision: (judgement: Judgement) => void;
}

/** What is said of an operation, before it passes. */
interface Allowed {
  readonly rule: string;
  readonly matched?: CompiledRosbridgeRule | undefined;
  readonly changed?: string | undefined;
}
type Verdict = Allowed | { readonly rule: string; readonly problem: string };

/** The operation whose rules say whether another may pass. */
const FOLLOWS: Partial<Record<Operation["op"], RuledOperation>> = { advertise: "publish" };

/** Judges the messages of one client, and writes anew what passes. */
export class InputJudge {
  readonly #options: InputJudgeOptions;
  readonly #fragments = new Fragments(INPUT_LIMIT_BYTES);

  constructor(options: InputJudgeOptions) {
    this.#options = options;
  }

  /** @param message a text, or bytes */
  judge(message: string | Buffer): InputPassage {
    return this.#judge(message, false);
  }

  #judge(message: string | Buffer, isJoined: boolean): InputPassage {
    if (typeof message !== "string")
      return this.#refuseStrictly(`${message.length} bytes`, {}, "expected JSON in a text message: bytes are not passed on");
    const read = parseStrictJson(message);
    if ("problem" in read) return this.#refuseStrictly(message, {}, read.problem);
    const { value } = read;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      return this.#refuseStrictly(message, {}, "expected one operation as a JSON object");
    }
    const fields = value as Record<string, unknown>;
    if (fields["op"] === "fragment") {
      return isJoined ? this.#refuseStrictly(message, {}, "expected no fragments in fragments") : this.#join(message, fields);
    }
    const operation = readOperation(fields);
    if ("problem" in operation) return this.#refuseStrictly(message, fields, operation.problem);
    return this.#judgeOperation(operation);
  }

  #join(text: string, fields: Record<string, unknown>): InputPassage {
    const joined = this.#fragments.add(fields);
    if (joined === undefined) return {};
    if ("problem" in joined) return this.#refuseStrictly(text, {}, joined.problem);
    return this.#judge(joined.text, true);
  }

  #judgeOperation(operation: Operation): InputPassage {
    const rules = this.#options.rules.current;
    const { mode } = rules;
    const isEnforced = mode === "enforce";
    const before = operation.message === undefined ? undefined : JSON.stringify(operation.message);
    const verdict = this.#decide(rules, operation);
    const isBlocked = "problem" in verdict;
    const changed = isBlocked ? undefined : verdict.changed;
    const message = changed === undefined || !isEnforced ? before : JSON.stringify(operation.message);
    const told = {
      direction: "in",
      mode,
      rule: verdict.rule,
      summary: summarise(operation.op, operation.name, message),
      message: describe(operation),
      isSign: ACTS.has(operation.op),
    } as const;
    if (isBlocked && isEnforced) {
      this.#options.onDecision({ ...told, decision: "block", because: verdict.problem });
      return { toClient: tellRefusal(operation, verdict.rule, verdict.problem) };
    }
    // What is not known to be open would not come back, so its bounds hold on trial too.
    const passed = this.#open(operation);
    if ("problem" in passed) {
      this.#options.onDecision({ ...told, decision: "block", mode: "enforce", rule: "strict", because: passed.problem });
      return { toClient: tellRefusal(operation, "strict", passed.problem) };
    }
    const because = isBlocked ? verdict.problem : changed;
    this.#options.onDecision({ ...told, decision: isBlocked ? "block" : "allow", ...(because === undefined ? {} : { because }) });
    const type = operation.type ?? (isBlocked || !NAMES_TYPE.has(operation.op) ? undefined : verdict.matched?.type);
    return { toDevice: writeOperation(operation, { id: passed.id, type, message }) };
  }

  #decide(rules: CompiledRosbridgeRules, operation: Operation): Verdict {
    const { op, parts, type, message } = operation;
    // What a client began it may end, whatever the rules say by now.
    if (op === "unsubscribe" || op === "unadvertise") return { rule: op };
    const match = matchRosbridge(rules, FOLLOWS[op] ?? (op as RuledOperation), parts);
    const { rule } = match;
    // A goal too, unless a rule blocks that: it can be cancelled when rules that were read again know it no longer.
    if (op === "cancel_action_goal" && rule === "default" && this.#findGoal(operation) !== undefined) return { rule: op };
    if (match.decision === "block") return { rule, problem: match.because };
    const { matched } = match;
    const refuse = (problem: string): Verdict => ({ rule, problem: explain(problem, matched?.because) });
    const typeProblem = findTypeProblem(matched, type);
    if (typeProblem !== undefined) return refuse(typeProblem);
    if (op === "advertise" || (op === "cancel_action_goal" && matched?.operation !== op)) return { rule, matched };
    const judged = message === undefined ? undefined : matched?.condition?.check(message);
    if (judged !== undefined && "problem" in judged) return refuse(judged.problem);
    const spent = matched?.limits?.take(message);
    return spent === undefined ? { rule, matched, changed: judged?.changed } : refuse(spent);
  }

  /** Notes what the operation begins or ends. @returns the id that goes to the device, or why it can't pass */
  #open(operation: Operation): { readonly id: Operation["id"] } | { readonly problem: string } {
    const { open } = this.#options;
    const { op, name, id } = operation;
    switch (op) {
      case "subscribe":
      case "advertise":
      case "publish": {
        const registered = op === "subscribe" ? open.subscribed : open.advertised;
        // A message that is published without one counts as an advertisement without an id.
        if (op === "publish" && registered.has(name)) return { id };
        return registered.add(name, op === "publish" ? undefined : id)
          ? { id }
          : { problem: "there are too many of these on one connection" };
      }
      case "unsubscribe":
      case "unadvertise": {
        const registered = op === "unsubscribe" ? open.subscribed : open.advertised;
        return registered.remove(name, id) ? { id } : { problem: `there is nothing of this ${id === undefined ? "name" : "id"} to ${op}` };
      }
      case "call_service":
        open.addCall(name, id);
        return { id };
      case "send_action_goal":
        return open.addGoal(operation);
      case "cancel_action_goal": {
        const deviceId = this.#findGoal(operation);
        return deviceId === undefined ? { problem: "this connection has no goal of this action and id" } : { id: deviceId };
      }
    }
  }

  /** The goal of this client that an operation names. @returns the id by which the device knows it */
  #findGoal({ name, id }: Operation): string | undefined {
    const { open } = this.#options;
    const deviceId = id === undefined ? undefined : open.goalId(id);
    return open.goal(deviceId)?.action === name ? deviceId : undefined;
  }

  #refuseStrictly(text: string, fields: Readonly<Record<string, unknown>>, because: string): InputPassage {
    const told = { rule: "strict", because, summary: summarise(text), isSign: false };
    this.#options.onDecision({ direction: "in", mode: "enforce", decision: "block", ...told });
    return { toClient: tellRefusal(fields, "strict", because) };
  }
}

/** Operations into which the type of their rule is written when they name none. */
const NAMES_TYPE: ReadonlySet<Operation["op"]> = new Set(["advertise", "subscribe", "send_action_goal"]);

/** Signs of the user; programs do the rest by themselves when they connect again. */
const ACTS: ReadonlySet<Operation["op"]> = new Set(["publish", "call_service", "send_action_goal", "cancel_action_goal"]);

/** As `filter learn` reads it. */
function describe({ op, name, type, message }: Operation) {
  return { op, name, ...(type === undefined ? {} : { type }), ...(message === undefined ? {} : { message }) };
}
