import { filterProblem } from "./topic-text.ts";

/** A topic filter of MQTT (§4.7), compiled. */
export interface TopicPattern {
  readonly levels: readonly string[];
  /** The group of a shared subscription (§4.8.2). */
  readonly group: string | undefined;
}

/** Compiles a topic filter that is right. */
export function readTopicPattern(filter: string): TopicPattern {
  const levels = filter.split("/");
  return levels[0] === "$share" ? { levels: levels.slice(2), group: levels[1] } : { levels, group: undefined };
}

/** @returns the pattern, or what is wrong with it */
export function compileTopicPattern(filter: string): TopicPattern | { readonly problem: string } {
  const problem = filterProblem(filter);
  return problem === undefined ? readTopicPattern(filter) : { problem: `expected a topic filter: ${problem}` };
}

/** A topic as a pattern that stands for it alone. */
export function readTopic(topic: string): TopicPattern {
  return { levels: topic.split("/"), group: undefined };
}

/** Whether a topic belongs to the broker itself: wildcards in the first level do not stand for it. */
export function isOfBroker({ levels: [first = ""] }: TopicPattern): boolean {
  return first.startsWith("$");
}

/** Whether every topic that `inner` stands for is one that `outer` stands for. Groups are left aside. */
export function covers(outer: TopicPattern, inner: TopicPattern): boolean {
  if (isOfBroker(inner) && isWild(outer.levels[0])) return false;
  for (const [index, level] of outer.levels.entries()) {
    if (level === "#") return true; // also for the level above: `a/#` stands for `a` too
    const other = inner.levels[index];
    if (other === undefined || other === "#") return false;
    if (level !== "+" && level !== other) return false;
  }
  return inner.levels.length === outer.levels.length;
}

/** Whether there is a topic that both stand for. Groups are left aside. */
export function overlap(a: TopicPattern, b: TopicPattern): boolean {
  if ((isOfBroker(a) && isWild(b.levels[0])) || (isOfBroker(b) && isWild(a.levels[0]))) return false;
  const longest = Math.max(a.levels.length, b.levels.length);
  for (let index = 0; index < longest; index += 1) {
    const [one, other] = [a.levels[index], b.levels[index]];
    if (one === "#" || other === "#") return true;
    if (one === undefined || other === undefined) return false;
    if (one !== "+" && other !== "+" && one !== other) return false;
  }
  return true;
}

function isWild(level: string | undefined): boolean {
  return level === "+" || level === "#";
}
