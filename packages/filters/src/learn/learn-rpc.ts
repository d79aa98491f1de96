import { compilePathTemplate } from "../rules/path-template.ts";
import { groupBy } from "./group-by.ts";
import { inferSchema, type ProposedSchema } from "./infer-schema.ts";
import { inferPart, proposeQuery, readPath } from "./learn-http.ts";
import type { ProposedRule } from "./proposed-rules.ts";
import type { RpcMessage } from "./read-decisions.ts";

/** Proposes a rule for each procedure that was called: its program stays, its values are those that were seen. */
export function learnRpc(messages: readonly RpcMessage[]): ProposedRule[] {
  return [...groupBy(messages, ({ procedure }) => JSON.stringify(procedure)).values()].map(proposeRule);
}

function proposeRule(messages: readonly RpcMessage[]): ProposedRule {
  const { allow, run, stdin } = messages[0]!.procedure;
  const bodies = messages.filter((message) => "body" in message).map(({ body }) => body);
  const path = proposePath(allow, messages);
  return {
    count: messages.length,
    rule: {
      allow,
      run,
      ...(stdin === undefined ? {} : { stdin }),
      ...(Object.keys(path).length === 0 ? {} : { path }),
      ...proposeQuery(messages),
      ...(bodies.length === 0 ? {} : { body: inferSchema(bodies) }),
    },
  };
}

function proposePath(pattern: string, messages: readonly RpcMessage[]): Record<string, ProposedSchema> {
  const template = compilePathTemplate(pattern.slice(pattern.indexOf(" ") + 1));
  if ("problem" in template) return {};
  const paths = messages.map(({ path }) => readPath(path) ?? []);
  const named = template.segments.flatMap((segment, index) =>
    "parameter" in segment ? [[segment.parameter, inferPart(paths.map((path) => path[index] ?? ""))] as const] : [],
  );
  return Object.fromEntries(named);
}
