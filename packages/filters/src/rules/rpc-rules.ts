import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type JsonSchema, type RpcAllowRule, RpcFilterRules } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import { type ArgumentTemplate, compileArgument, fillArguments, isReadAsProgram } from "./argument-template.ts";
import { type CompiledHttpRule, type CompiledHttpRules, refuseUnread } from "./http-rules.ts";
import { LimitNames } from "./limit-names.ts";
import type { LimitKeeper } from "./limits.ts";
import { compilePathTemplate, type PathTemplate } from "./path-template.ts";
import type { Procedure } from "./procedure.ts";
import { type CallValues, readCallValues } from "./call-values.ts";
import { compileRequestConditions, type Refuse } from "./request-conditions.ts";

/** What rules of procedures are made with. */
interface RpcRulesOptions {
  readonly limits: LimitKeeper;
  /** Whether procedures of this name run, or wait, as often as they may. */
  readonly isBusy: (procedure: Procedure) => boolean;
  /** Whether each program is looked for. */
  readonly checksPrograms: boolean;
}

/**
 * Rules from the text of a rules file; an empty one has no procedure.
 * @param file its name, for messages; programs count from its folder
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseRpcRules(text: string, file: string, options: RpcRulesOptions): CompiledHttpRules {
  const folder = resolve(dirname(file));
  const compiled = RpcFilterRules.transform((source, context): CompiledHttpRules => {
    const names = new LimitNames();
    const rules = source.rules.flatMap((rule, index): CompiledHttpRule[] => {
      const refuse: Refuse = (path, message) => context.addIssue({ code: "custom", path: ["rules", index, ...path], message });
      const decision = "allow" in rule ? "allow" : "block";
      const pattern = "allow" in rule ? rule.allow : rule.block;
      const blank = pattern.indexOf(" ");
      const method = pattern.slice(0, blank);
      const path = compilePathTemplate(pattern.slice(blank + 1));
      if ("problem" in path || (path.isOpen && decision === "allow")) {
        refuse([decision], "problem" in path ? path.problem : "expected a path without `*`: it is the name of one procedure");
        return [];
      }
      const shared = { decision, pattern, method, path, because: rule.because, answers: undefined, socket: undefined } as const;
      if (!("allow" in rule)) return [{ ...shared, conditions: undefined }];
      const name = names.next(pattern);
      return [{ ...shared, ...compileAllow(rule, { name, method, path, folder, refuse, isJudged: source.mode !== "shadow", ...options }) }];
    });
    return { default: "block", mode: source.mode, rules, answers: undefined };
  });
  return parseYamlWith(compiled, text, file);
}

interface Place extends RpcRulesOptions {
  readonly name: string;
  readonly method: string;
  readonly path: PathTemplate;
  readonly folder: string;
  readonly refuse: Refuse;
  /** Whether what does not fit a schema is refused: not so with `mode: shadow`. */
  readonly isJudged: boolean;
}

function compileAllow(rule: RpcAllowRule, place: Place): Pick<CompiledHttpRule, "conditions" | "procedure"> {
  const { name, method, path, refuse, limits } = place;
  refuseUnread(rule, refuse);
  const { rate, budget } = rule;
  const limitsOfRule = rate === undefined && budget === undefined ? undefined : limits.limitsOf({ name, rate, budget });
  const conditions = compileRequestConditions(
    { ...rule, query: rule.query ?? {} }, // without it no field may be there
    { template: path, method, limits: limitsOfRule, refuse },
  );
  const hasBody = rule.body === undefined ? { hasBody: false } : {};
  return { conditions: { ...conditions, ...hasBody }, procedure: compileProcedure(rule, place) };
}

function compileProcedure(rule: RpcAllowRule, { name, path, folder, refuse, isJudged, isBusy, checksPrograms }: Place): Procedure {
  const program = compileArgument(rule.run[0] ?? "");
  const rest = rule.run.slice(1).map(compileArgument);
  const stdin = rule.stdin === undefined ? undefined : compileArgument(rule.stdin);
  const argv0 = program.source.includes("/") ? resolve(folder, program.source) : program.source;
  if (program.names.length > 0 || program.source === "") refuse(["run", 0], "expected a program: what is run is the owner's choice alone");
  else if (checksPrograms && program.source.includes("/")) checkProgram(argv0, (message) => refuse(["run", 0], message));
  const declared = declaredValues(rule, path, refuse);
  const places = {
    path,
    query: new Set(Object.keys(rule.query ?? {})),
    body: rule.body === undefined ? undefined : new Set(Object.keys(bodyProperties(rule))),
  };
  for (const [index, template] of rest.entries()) checkArgument(template, index + 1, { rule, declared, refuse, isJudged });
  for (const each of stdin?.names ?? []) {
    if (declared.has(each) || (each === "body" && rule.body !== undefined)) continue;
    refuse(["stdin"], unknownName(each));
  }
  const procedure: Procedure = {
    name,
    source: { allow: rule.allow, run: rule.run, stdin: rule.stdin },
    content_type: rule.content_type,
    output_limit: rule.output_limit,
    at_once: rule.at_once,
    timeoutMs: rule.timeout * 1000,
    waiting: 0,
    folder,
    isBusy: () => isBusy(procedure),
    fill(input) {
      const values = readCallValues(input, places);
      if ("problem" in values) return values;
      const filled = fillArguments(rest, (each) => (declared.has(each) ? values.argument(each) : undefined));
      if ("problem" in filled) return filled;
      return { argv: [argv0, ...filled], stdin: stdin === undefined ? undefined : fillInput(stdin, values) };
    },
  };
  return procedure;
}

/** A value that is missing is nothing there. */
function fillInput(stdin: ArgumentTemplate, values: CallValues): string | undefined {
  return stdin.fill((name) => values.text(name) ?? "");
}

interface DeclaredValue {
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
}

/** The values that a call can have, by name: each comes from one place. */
function declaredValues(rule: RpcAllowRule, path: PathTemplate, refuse: Refuse): ReadonlyMap<string, DeclaredValue> {
  const declared = new Map<string, DeclaredValue>();
  const declare = (name: string, value: DeclaredValue, field: readonly string[]) => {
    if (declared.has(name)) refuse(field, "expected another name, because path, query or body have this one already");
    declared.set(name, value);
  };
  for (const segment of path.segments) {
    if ("parameter" in segment) declare(segment.parameter, { schema: rule.path?.[segment.parameter] ?? true, isRequired: true }, ["allow"]);
  }
  for (const [name, schema] of Object.entries(rule.query ?? {})) {
    declare(name, { schema, isRequired: rule.query_required?.includes(name) === true }, ["query", name]);
  }
  const { type, required } = typeof rule.body === "object" ? rule.body : {};
  for (const [name, schema] of Object.entries(bodyProperties(rule))) {
    const isRequired = type === "object" && Array.isArray(required) && required.includes(name);
    declare(name, { schema, isRequired }, ["body", "properties", name]);
  }
  return declared;
}

/** Schemas of the fields that a body can have, by name. */
function bodyProperties({ body }: RpcAllowRule): Readonly<Record<string, JsonSchema>> {
  const { properties } = typeof body === "object" ? body : {};
  return typeof properties === "object" && properties !== null ? (properties as Record<string, JsonSchema>) : {};
}

function checkArgument(
  { source, names, beginsWithValue }: ArgumentTemplate,
  index: number,
  {
    rule,
    declared,
    refuse,
    isJudged,
  }: { rule: RpcAllowRule; declared: ReadonlyMap<string, DeclaredValue>; refuse: Refuse; isJudged: boolean },
): void {
  const refuseHere = (message: string) => refuse(["run", index], message);
  for (const name of names) {
    const value = declared.get(name);
    if (value === undefined) refuseHere(unknownName(name));
    else if (beginsWithValue && !value.isRequired) {
      refuseHere(
        `expected {${name}} to be required (query_required, or required of the body), or text before it, such as --${name}=${source}`,
      );
    } else if (isReadAsProgram(rule.run, index) && !isJudged) {
      refuseHere(`expected \`mode: enforce\`: here {${name}} is read as a program, and with \`mode: shadow\` it may be any text`);
    } else if (isReadAsProgram(rule.run, index) && !isHarmless(value.schema)) {
      refuseHere(`expected {${name}} to be a number, or one of listed texts (enum): here it is read as a program; or give it on \`stdin\``);
    }
  }
}

function unknownName(name: string): string {
  return `expected a {name} that stands in the path, in \`query\`, or in the \`properties\` of \`body\`, not {${name}}`;
}

/** Whether all that fits the schema is a number, true or false, or a text that the owner wrote. */
function isHarmless(schema: JsonSchema): boolean {
  if (typeof schema === "boolean") return false;
  const { type, enum: listed } = schema;
  if (Array.isArray(listed) || "const" in schema) return true;
  const types: unknown[] = Array.isArray(type) ? type : [type];
  return types.every((each) => each === "number" || each === "integer" || each === "boolean");
}

function checkProgram(path: string, refuse: (message: string) => void): void {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return refuse(`expected a program: ${path} is not there`);
  if (!facts.isFile()) return refuse(`expected a program: ${path} is none`);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    refuse(`expected a program that can be executed: \`chmod +x ${path}\``);
  }
}
