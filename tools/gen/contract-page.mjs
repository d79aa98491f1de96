import { jsonSchemas } from "@hardshare/protocol";
import { fieldTable } from "./field-table.mjs";
import { GENERATED } from "./markdown.mjs";

/** docs/reference/contract.md */
export function contractPage() {
  const { properties } = jsonSchemas()["contract.schema.json"];
  return `${GENERATED}

# Contract of a deployment

One YAML file for each deployment, \`$HARDSHARE_HOME/deployments/<id>.yaml\`. All fields may be left out; relative paths
are relative to the file. For editors there is a JSON Schema: [contract.schema.json](contract.schema.json), and one for
each kind of [rules file](filter-rules.md): [http](http-rules.schema.json), [rosbridge](rosbridge-rules.schema.json), [rpc](rpc-rules.schema.json), [serial](serial-rules.schema.json), [tcp](tcp-rules.schema.json), [mqtt](mqtt-rules.schema.json).
\`hardshare register\` puts them into \`$HARDSHARE_HOME/schemas\`, and names the first in the contract that it writes (\`# yaml-language-server:\`).
Durations are a number and a unit (\`90s\`, \`30m\`, \`2h\`) or a number of seconds.

${fieldTable(properties)}

## limits

${fieldTable(properties.limits.properties)}

## services

Each service is one of these forms.

${properties.services.items.oneOf.map((form) => fieldTable(form.properties)).join("\n\n")}

## init, init_inside, terminate, safe_state, baseline

Each entry is a command line or this form.

${fieldTable(longForm(properties.init.items).properties)}

## monitors

Each entry is a command line or this form.

${fieldTable(longForm(properties.monitors.items).properties)}

## cooldown

A time, or this form.

${fieldTable(longForm(properties.cooldown).properties)}

## hours

${fieldTable(properties.hours.properties)}
`;
}

/** Of what may also be written shortly. */
function longForm({ anyOf }) {
  return anyOf.find((form) => form.type === "object");
}
