import { parseSync, Visitor } from "oxc-parser";

/** Members of `process` that only a program's main may touch: they are its environment, arguments and end. */
const MAIN_ONLY = new Set(["env", "argv", "exitCode", "exit", "on", "once", "addListener", "prependListener", "chdir", "umask"]);

/**
 * @typedef {object} Import
 * @property {string} specifier
 * @property {number} line
 * @property {"static" | "lazy" | "type"} kind `type` is gone at run time
 * @property {string[]} [names] what is imported by its name, of an `import … from`
 *
 * @typedef {object} ParsedSource
 * @property {Import[]} imports
 * @property {{ member: string, line: number }[]} processUses
 * @property {boolean} opensWithDoc whether the first thing in the file is a doc comment
 * @property {string | undefined} syntaxError
 */

/** What the checks need to know of one file. @param {string} path @param {string} text @returns {ParsedSource} */
export function parseSource(path, text) {
  const { program, module, errors } = parseSync(path, text);
  const lineOf = lineFinder(text);
  /** @type {Import[]} */
  const imports = [];
  /** @type {ParsedSource["processUses"]} */
  const processUses = [];

  for (const { moduleRequest, entries, start } of module.staticImports) {
    const isType = entries.length > 0 && entries.every((entry) => entry.isType);
    const names = entries.flatMap(({ importName }) => (importName.name ? [importName.name] : []));
    imports.push({ specifier: moduleRequest.value, line: lineOf(start), kind: isType ? "type" : "static", names });
  }
  for (const { entries, start } of module.staticExports) {
    const from = entries.find((entry) => entry.moduleRequest);
    if (!from?.moduleRequest) continue;
    imports.push({
      specifier: from.moduleRequest.value,
      line: lineOf(start),
      kind: entries.every((entry) => entry.isType) ? "type" : "static",
    });
  }
  new Visitor({
    ImportExpression({ source, start }) {
      if (source.type === "Literal") imports.push({ specifier: String(source.value), line: lineOf(start), kind: "lazy" });
    },
    TSImportType({ source, start }) {
      imports.push({ specifier: source.value, line: lineOf(start), kind: "type" });
    },
    MemberExpression({ object, property, computed, start }) {
      if (!isProcess(object)) return;
      const member = computed ? property.type === "Literal" && String(property.value) : property.name;
      if (member && MAIN_ONLY.has(member)) processUses.push({ member, line: lineOf(start) });
    },
    VariableDeclarator({ id, init, start }) {
      if (id.type !== "ObjectPattern" || !isProcess(init)) return;
      for (const { key } of id.properties) if (MAIN_ONLY.has(key?.name)) processUses.push({ member: key.name, line: lineOf(start) });
    },
  }).visit(program);
  for (const { specifier, line } of imports) {
    if (/^(?:node:)?process$/.test(specifier)) processUses.push({ member: "(imported as a module)", line });
  }
  return { imports, processUses, opensWithDoc: /^(?:#![^\n]*\n)?\s*\/\*\*/.test(text), syntaxError: errors[0]?.message };
}

/** `process` or `globalThis.process`. */
function isProcess(node) {
  if (node?.type === "Identifier") return node.name === "process";
  return node?.type === "MemberExpression" && node.object.name === "globalThis" && node.property.name === "process";
}

/** @param {string} text */
function lineFinder(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return (offset) => {
    const next = starts.findIndex((start) => start > offset);
    return next === -1 ? starts.length : next;
  };
}
