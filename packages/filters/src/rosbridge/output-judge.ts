import { type JsonPlace, removePlaces } from "../rules/json-place.ts";
import type { LiveRules } from "../rules/live-rules.ts";
import { type CompiledRosbridgeRules, matchRosbridge, type RuledOperation } from "../rules/rosbridge-rules.ts";
import { readRosName } from "../rules/ros-names.ts";
import type { Judgement } from "../run/filter-kind.ts";
import { Fragments } from "./fragments.ts";
import type { OpenOperations } from "./open-operations.ts";
import { summarise } from "./summary.ts";

/** Largest message of a device: a picture in base64, or a cloud of points, is large. */
export const OUTPUT_LIMIT_BYTES = 32 * 1024 ** 2;

interface OutputJudgeOptions {
  readonly rules: LiveRules<CompiledRosbridgeRules>;
  readonly open: OpenOperations;
  readonly onDecision: (judgement: Judgement) => void;
}

type Fields = Record<string, unknown>;
/** What passes of a message, and by which rule, or why nothing does. */
type Verdict =
  | { readonly rule: string; readonly text: string; readonly changed?: string }
  | { readonly rule: string; readonly problem: string; /** What passes on trial. */ readonly text?: string };

/** Judges what a device says to one client: only what belongs to an operation of that client goes back. */
export class OutputJudge {
  readonly #options: OutputJudgeOptions;
  readonly #fragments = new Fragments(OUTPUT_LIMIT_BYTES);

  constructor(options: OutputJudgeOptions) {
    this.#options = options;
  }

  /** @returns what goes to the client; undefined for nothing */
  judge(message: string | Buffer): string | undefined {
    if (typeof message !== "string")
      return this.#conclude(`${message.length} bytes`, strictly("the device sent bytes, though the filter asks for texts"));
    const fields = readObject(message);
    if (fields === undefined) return this.#conclude(message, strictly("the device sent no JSON object"));
    if (fields["op"] !== "fragment") return this.#conclude(describe(fields), this.#decide(fields, message));
    const joined = this.#fragments.add(fields);
    if (joined === undefined) return undefined;
    if ("problem" in joined) return this.#conclude("fragment", strictly(joined.problem));
    const whole = readObject(joined.text);
    if (whole === undefined) return this.#conclude("fragment", strictly("the device sent no JSON object"));
    return this.#conclude(describe(whole), this.#decide(whole, joined.text));
  }

  #conclude(summary: string, verdict: Verdict): string | undefined {
    const { mode } = this.#options.rules.current;
    const isBlocked = "problem" in verdict;
    const because = isBlocked ? verdict.problem : verdict.changed;
    const passes = !isBlocked || mode === "shadow" ? verdict.text : undefined;
    this.#options.onDecision({
      direction: "out",
      mode: verdict.rule === "strict" ? "enforce" : mode,
      decision: isBlocked ? "block" : "allow",
      rule: verdict.rule,
      summary: summarise(summary),
      ...(because === undefined ? {} : { because }),
    });
    return passes;
  }

  #decide(fields: Fields, text: string): Verdict {
    const { open } = this.#options;
    const { op, id } = fields;
    switch (op) {
      case "status":
        return { rule: "status", text };
      case "publish": {
        const topic = textOf(fields["topic"]);
        if (!open.subscribed.has(topic)) return strictly("the client has no subscription of this topic");
        return this.#judge("subscribe", topic, { fields, text, answer: "msg" });
      }
      case "service_response": {
        const service = textOf(fields["service"]);
        if (!open.endCall(service, id)) return strictly("no call of the client waits for this answer");
        return this.#judge("call_service", service, { fields, text, answer: "values" });
      }
      case "action_feedback":
      case "action_result": {
        const goal = open.goal(id);
        if (goal === undefined) return strictly("the client has no such goal");
        if (op === "action_result") open.endGoal(String(id));
        const own = { ...fields, id: goal.id };
        return this.#judge("send_action_goal", goal.action, { fields: own, text: JSON.stringify(own), answer: "values" });
      }
      default:
        return strictly("the device may not ask this of a client");
    }
  }

  #judge(operation: RuledOperation, name: string, given: { fields: Fields; text: string; answer: "msg" | "values" }): Verdict {
    const { current } = this.#options.rules;
    const match = matchRosbridge(current, operation, readRosName(name) ?? []);
    const { fields, text, answer } = given;
    if (match.decision === "block") return { rule: match.rule, problem: match.because, text };
    const places: readonly JsonPlace[] = match.matched?.removed ?? [];
    if (places.length === 0 || current.mode === "shadow") return { rule: match.rule, text };
    const removed = removePlaces(fields[answer], places);
    // Written anew also when nothing was removed: a field that is given twice is then left out too.
    return { rule: match.rule, text: JSON.stringify(fields), ...(removed === 0 ? {} : { changed: `${removed} fields left out` }) };
  }
}

function strictly(problem: string): Verdict {
  return { rule: "strict", problem };
}

function describe({ op, topic, service, action }: Fields): string {
  return `${textOf(op)} ${textOf(topic ?? service ?? action)}`;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function readObject(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}
