/**
 * Characters that some brokers refuse and others pass on, or that are no characters (§1.5.4): what holds one is refused,
 * so that all see the same topic.
 */
const UNFIT = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;

/** Longest topic, and topic filter: a connection keeps many. */
const MAX_TOPIC_CHARS = 4096;

/** What is wrong with a topic of a message; undefined when nothing is. */
export function topicProblem(topic: string): string | undefined {
  if (topic === "") return "the topic is empty";
  if (topic.length > MAX_TOPIC_CHARS) return `the topic has more than ${MAX_TOPIC_CHARS} characters`;
  if (/[+#]/.test(topic)) return "the topic of a message holds a wildcard";
  return UNFIT.test(topic) ? "the topic holds a control character, or what is no character" : undefined;
}

/** What is wrong with a topic filter; undefined when nothing is. */
export function filterProblem(filter: string): string | undefined {
  if (filter === "") return "the topic filter is empty";
  if (filter.length > MAX_TOPIC_CHARS) return `the topic filter has more than ${MAX_TOPIC_CHARS} characters`;
  if (UNFIT.test(filter)) return "the topic filter holds a control character, or what is no character";
  const levels = filter.split("/");
  for (const [index, level] of levels.entries()) {
    if (level.includes("#") && (level !== "#" || index < levels.length - 1)) return "`#` must be the last level of a topic filter, alone";
    if (level.includes("+") && level !== "+") return "`+` must be a level of a topic filter alone";
  }
  if (levels[0] !== "$share") return undefined;
  const [, group = "", ...rest] = levels;
  const isWhole = group !== "" && !/[+#]/.test(group) && rest.join("/") !== "";
  return isWhole ? undefined : "a shared subscription is `$share/<group>/<topic filter>`";
}
