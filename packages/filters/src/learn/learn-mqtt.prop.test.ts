import fc from "fast-check";
import { expect, test } from "vitest";
import type { Message } from "../mqtt/packets.ts";
import { judgeMessage, judgeSubscription } from "../rules/judge-mqtt.ts";
import { parseMqttRules } from "../rules/mqtt-rules.ts";
import { makeLimits } from "../testing/filter-world.ts";
import { learnMqtt } from "./learn-mqtt.ts";
import { writeRules } from "./proposed-rules.ts";
import type { MqttMessage } from "./read-decisions.ts";

const level = fc.oneof(fc.constantFrom("robots", "speed", "a", "b", "c", "x y", "$SYS", ""), fc.nat(9).map(String));
const topic = fc
  .array(level, { minLength: 1, maxLength: 3 })
  .map((levels) => levels.join("/"))
  .filter((each) => each !== "");
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const json = fc.dictionary(
  fc.constantFrom("speed", "time", "mode"),
  fc.oneof(fc.integer({ min: -99, max: 99 }), fc.constantFrom("slow", true, null)),
);
const text = fc.oneof(fc.integer({ min: -99, max: 99 }), fc.constantFrom("ON", "OFF", "1.5", ""));
const properties = fc.record(
  {
    contentType: fc.constantFrom("application/json", "text/plain"),
    responseTopic: fc.constantFrom("answers/1", "answers/2", "x"),
    userProperties: fc.dictionary(fc.constantFrom("unit", "who"), fc.constantFrom("mm", "me")),
  },
  { requiredKeys: [] },
);
const payload = fc.oneof(
  json.map((value) => ({ payload: value })),
  text.map((value) => ({ text: value })),
  fc.constant({}),
);
const published = fc
  .tuple(fc.record({ publish: topic, qos, retain: fc.boolean() }), payload, properties)
  .map(([message, said, more]) => ({ ...message, ...said, ...more }));
const filter = fc.oneof(
  topic,
  topic.map((each) => `${each}/#`),
  topic.map((each) => `+/${each}`),
  topic.map((each) => `$share/g/${each}`),
);

type Published = Extract<MqttMessage, { publish: string }>;

/** A recorded message as it came. */
function again({
  publish,
  qos: level,
  retain,
  payload: value,
  text: words,
  contentType,
  responseTopic,
  userProperties,
}: Published): Message {
  const bytes = value === undefined ? String(words ?? "anything") : JSON.stringify(value);
  const users = Object.entries(userProperties ?? {});
  return {
    topic: publish,
    payload: Buffer.from(bytes),
    qos: level as Message["qos"],
    retain,
    properties: {
      ...(contentType === undefined ? {} : { contentType }),
      ...(responseTopic === undefined ? {} : { responseTopic }),
      ...(users.length === 0 ? {} : { userProperties: users }),
    },
  };
}

test("proposed rules let through every message and subscription that they were made of, and no other topic", () => {
  fc.assert(
    fc.property(
      fc.array(published, { minLength: 1, maxLength: 20 }),
      fc.array(fc.record({ subscribe: filter, qos }), { maxLength: 5 }),
      (messages, subscriptions) => {
        const file = writeRules(learnMqtt([...messages, ...subscriptions, { connect: 5 }]), []);
        const rules = parseMqttRules(file, "proposed.yaml", makeLimits());
        for (const each of messages) {
          expect(judgeMessage(rules, "publish", again(each)), `${JSON.stringify(each)}\n${file}`).toMatchObject({ decision: "allow" });
          const other = { ...again(each), topic: `${each.publish}/never/seen/before` };
          expect(judgeMessage(rules, "publish", other)).toMatchObject({ decision: "block" });
        }
        for (const { subscribe, qos: level } of subscriptions) {
          const subscription = { filter: subscribe, qos: level, noLocal: false, retainAsPublished: false, retainHandling: 0 };
          expect(judgeSubscription(rules, subscription), `${subscribe}\n${file}`).toMatchObject({ decision: "allow" });
        }
      },
    ),
  );
});
