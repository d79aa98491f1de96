import fc from "fast-check";
import { expect, test } from "vitest";
import { covers, overlap, readTopic, readTopicPattern } from "./topic-pattern.ts";

const level = fc.constantFrom("a", "b", "", "$SYS");
const topic = fc.array(level, { minLength: 1, maxLength: 3 }).map((levels) => levels.join("/"));
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 3 }), fc.boolean())
  .map(([levels, isOpen]) => [...levels, ...(isOpen || levels.length === 0 ? ["#"] : [])].join("/"))
  .filter((text) => text !== "");

/** All topics of up to four levels that could make a difference. */
const TOPICS = (() => {
  const levels = ["a", "b", "c", "", "$SYS"];
  let topics = levels;
  let last = levels;
  for (let count = 0; count < 3; count += 1) {
    last = last.flatMap((start) => levels.map((each) => `${start}/${each}`));
    topics = [...topics, ...last];
  }
  return topics.filter((each) => each !== "");
})();

/** What the standard says of a topic and a topic filter (§4.7.1, §4.7.2), as a regular expression. */
function standsFor(filter: string, topic: string): boolean {
  if (/^[+#]/.test(filter) && topic.startsWith("$")) return false;
  const source = filter
    .split("/")
    .map((each) => (each === "+" ? "[^/]*" : each.replaceAll("$", "\\$")))
    .join("/")
    .replace(/\/#$/, "(?:/.*)?")
    .replace(/^#$/, ".*");
  return new RegExp(`^${source}$`, "s").test(topic);
}

test("a filter covers a topic just when the standard says that it stands for it", () => {
  fc.assert(
    fc.property(filter, topic, (filter, topic) => {
      expect(covers(readTopicPattern(filter), readTopic(topic))).toBe(standsFor(filter, topic));
    }),
  );
});

test("a filter that covers another stands for each topic of it; filters overlap just when they share a topic", () => {
  fc.assert(
    fc.property(filter, filter, (one, other) => {
      const [a, b] = [readTopicPattern(one), readTopicPattern(other)];
      const shared = TOPICS.filter((each) => standsFor(one, each) && standsFor(other, each));
      expect(overlap(a, b)).toBe(shared.length > 0);
      if (covers(a, b)) expect(shared).toEqual(TOPICS.filter((each) => standsFor(other, each)));
      else expect(TOPICS.filter((each) => standsFor(other, each)).length > shared.length || b.levels.includes("#")).toBe(true);
    }),
  );
});
