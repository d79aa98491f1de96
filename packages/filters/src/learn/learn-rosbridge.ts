import { groupBy } from "./group-by.ts";
import { inferSchema } from "./infer-schema.ts";
import type { ProposedRule } from "./proposed-rules.ts";
import type { RosMessage } from "./read-decisions.ts";

/** Operations that rules are about, in the order in which they are proposed. Others follow these. */
const RULED = ["subscribe", "publish", "call_service", "send_action_goal"];

/** Proposes a rule for each operation and name. A type stands in it when every operation that named one named the same. */
export function learnRosbridge(messages: readonly RosMessage[]): ProposedRule[] {
  const groups = groupBy(messages, ({ op, name }) => JSON.stringify([op === "advertise" ? "publish" : op, name]));
  return [...groups]
    .flatMap(([key, all]) => {
      const [op, name] = JSON.parse(key) as [string, string];
      const counted = all.filter((each) => each.op === op);
      return RULED.includes(op) && counted.length > 0 ? [{ op, name, counted, all }] : [];
    })
    .toSorted((a, b) => RULED.indexOf(a.op) - RULED.indexOf(b.op) || (a.name < b.name ? -1 : 1))
    .map(({ op, name, counted, all }) => {
      const types = [...new Set(all.flatMap(({ type }) => type ?? []))];
      const values = counted.flatMap(({ message }) => (message === undefined ? [] : [message]));
      return {
        count: counted.length,
        rule: {
          allow: `${op} ${name}`,
          ...(types.length === 1 ? { type: types[0] } : {}),
          ...(values.length === 0 ? {} : { message: inferSchema(values) }),
        },
      };
    });
}
