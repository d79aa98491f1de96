import { jsonSchemas } from "@hardshare/protocol";
import { code, GENERATED, table } from "./markdown.mjs";

/** docs/reference/contract.md */
export function contractPage() {
  const { properties } = jsonSchemas()["contract.schema.json"];
  return `${GENERATED}

# Contract of a deployment

One YAML file for each deployment, \`$HARDSHARE_HOME/deployments/<id>.yaml\`. All fields may be left out; relative paths
are relative to the file. For editors there is a JSON Schema: [contract.schema.json](contract.schema.json), and one for
each kind of rules file: [http](http-rules.schema.json), [serial](serial-rules.schema.json). \`hardshare register\` puts
them into \`$HARDSHARE_HOME/schemas\`, and names the first in the contract that it writes (\`# yaml-language-server:\`).
Durations are a number and a unit (\`90s\`, \`30m\`, \`2h\`) or a number of seconds.

${fieldTable(properties)}

## limits

${fieldTable(properties.limits.properties)}

## services

Each service is one of these forms.

${properties.services.items.oneOf.map((form) => fieldTable(form.properties)).join("\n\n")}

## init, init_inside, terminate, safe_state, baseline

Each entry is a command line or this form.

${fieldTable(properties.init.items.anyOf.find((form) => form.type === "object").properties)}
`;
}

function fieldTable(properties) {
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
