import { METHODS } from "node:http";
import { HttpFilterRules } from "@hardshare/protocol";
import { parseYamlWith } from "@hardshare/runtime";
import { compilePathTemplate, matchesExactly, matchesLoosely, type PathTemplate } from "./path-template.ts";

/** The rules of one `http` filter, ready to judge. */
export interface CompiledHttpRules {
  readonly default: "allow" | "block";
  readonly rules: readonly CompiledHttpRule[];
}

interface CompiledHttpRule {
  readonly decision: "allow" | "block";
  /** As its owner wrote it, such as `POST /api/reboot`. */
  readonly pattern: string;
  /** Capital letters, or `*` for any. */
  readonly method: string;
  readonly path: PathTemplate;
  readonly because: string | undefined;
}

/** What the rules say about one request. */
export type HttpVerdict =
  | { readonly decision: "allow"; readonly rule: string }
  | { readonly decision: "block"; readonly rule: string; readonly because: string };

/** Methods that are refused whatever the rules say: they ask for a tunnel, or echo what the filter sent. */
export const NEVER_ALLOWED_METHODS: ReadonlySet<string> = new Set(["CONNECT", "TRACE"]);

/** The words of the rules file, compiled; what only a closer look at a pattern can tell is an issue at that pattern. */
const CompiledRulesFile = HttpFilterRules.transform((file, context): CompiledHttpRules => {
  const rules: CompiledHttpRule[] = [];
  for (const [index, rule] of file.rules.entries()) {
    const decision = "allow" in rule ? "allow" : "block";
    const pattern = "allow" in rule ? rule.allow : rule.block;
    const blank = pattern.indexOf(" ");
    const method = pattern.slice(0, blank);
    const path = compilePathTemplate(pattern.slice(blank + 1));
    const refuse = (message: string) => context.addIssue({ code: "custom", path: ["rules", index, decision], message });
    if (method !== "*" && (!METHODS.includes(method) || NEVER_ALLOWED_METHODS.has(method))) {
      refuse(`expected a method that can occur, such as GET or POST, or * for any, not ${method}`);
    }
    if ("problem" in path) refuse(path.problem);
    else rules.push({ decision, pattern, method, path, because: rule.because });
  }
  return { default: file.default, rules };
});

/**
 * Rules from the text of a rules file; an empty one blocks everything.
 * @param file name for messages
 * @throws AppError `config_invalid`: it is wrong (file, line, column, field, what was expected)
 */
export function parseHttpRules(text: string, file: string): CompiledHttpRules {
  return parseYamlWith(CompiledRulesFile, text, file);
}

/**
 * What the rules say about a request: the first rule that matches decides, else the default.
 * An allow matches only the very path and method; a block also what a device could take for them (letter case, a final
 * slash, `;parameters`, final dots and blanks, HEAD for GET), because devices differ and a block must hold for all of them.
 * @param path decoded segments of the path
 */
export function judgeHttp(rules: CompiledHttpRules, method: string, path: readonly string[]): HttpVerdict {
  for (const rule of rules.rules) {
    if (!isMethodOf(rule, method)) continue;
    if (rule.decision === "allow") {
      if (matchesExactly(rule.path, path)) return { decision: "allow", rule: rule.pattern };
    } else if (matchesLoosely(rule.path, path)) {
      return { decision: "block", rule: rule.pattern, because: rule.because ?? "the owner's filter rules block this request" };
    }
  }
  if (rules.default === "allow") return { decision: "allow", rule: "default" };
  return { decision: "block", rule: "default", because: "no filter rule of the owner allows this request" };
}

function isMethodOf(rule: CompiledHttpRule, method: string): boolean {
  if (rule.method === "*" || rule.method === method) return true;
  return rule.decision === "block" && rule.method === "GET" && method === "HEAD";
}
