import { Contract } from "@hardshare/protocol";
import { z } from "zod";
import { code, GENERATED, table } from "./markdown.mjs";

/** JSON Schema of a contract file as its owner writes it (draft 2020-12). */
export function contractSchema() {
  return { title: "hardshare contract of a deployment", ...z.toJSONSchema(Contract, { io: "input" }) };
}

/** docs/reference/contract.md */
export function contractPage() {
  const { properties } = contractSchema();
  return `${GENERATED}

# Contract of a deployment

One YAML file for each deployment, \`$HARDSHARE_HOME/deployments/<id>.yaml\`. All fields may be left out; relative paths
are relative to the file. For editors there is a JSON Schema: [contract.schema.json](contract.schema.json).
Durations are a number and a unit (\`90s\`, \`30m\`, \`2h\`) or a number of seconds.

${fieldTable(properties)}

## limits

${fieldTable(properties.limits.properties)}

## services

Each service is one of these forms.

${properties.services.items.anyOf.map((form) => fieldTable(form.properties)).join("\n\n")}

## init, init_inside, terminate, safe_state

Each entry is a command line or this form.

${fieldTable(properties.init.items.anyOf.find((form) => form.type === "object").properties)}
`;
}

function fieldTable(properties) {
  const rows = Object.entries(properties).map(([name, schema]) => [
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
