import { code, table } from "./markdown.mjs";

/** The fields of an object of a JSON Schema. @param {Record<string, any>} properties */
export function fieldTable(properties) {
  const fields = Object.entries(properties).filter(([, schema]) => schema.not === undefined); // `not: {}`: must not be there
  const rows = fields.map(([name, schema]) => [
    code(name),
    typeOf(schema),
    isTelling(schema.default) ? code(JSON.stringify(schema.default)) : "",
    schema.description ?? "",
  ]);
  return table(["field", "form", "default", "meaning"], rows);
}

/** Empty lists and objects say nothing that the reader does not expect. */
function isTelling(value) {
  return value !== undefined && (typeof value !== "object" || Object.keys(value).length > 0);
}

function typeOf(schema) {
  if (schema.const !== undefined) return code(String(schema.const));
  if (schema.enum) return schema.enum.map((value) => code(String(value))).join(", ");
  if (schema.type === "array") return "list";
  if (schema.type === "object") return "map";
  if (schema.anyOf) return [...new Set(schema.anyOf.map((form) => typeOf(form)))].join(" or ");
  return schema.type === "string" ? "text" : schema.type;
}
