import { jsonSchemas } from "@hardshare/protocol";
import { fieldTable } from "./field-table.mjs";
import { GENERATED } from "./markdown.mjs";

/** docs/reference/filter-rules.md */
export function rulesPage() {
  const schemas = jsonSchemas();
  const http = schemas["http-rules.schema.json"].properties;
  const rosbridge = schemas["rosbridge-rules.schema.json"].properties;
  const serial = schemas["serial-rules.schema.json"].properties;
  const rpc = schemas["rpc-rules.schema.json"].properties;
  const tcp = schemas["tcp-rules.schema.json"].properties;
  const mqtt = schemas["mqtt-rules.schema.json"].properties;
  return `${GENERATED}

# Filter rules

What a filter lets through. A rules file is YAML; the contract names it (\`rules:\`), and \`hardshare reload\` puts a change
into force at once, all of it or, with a mistake anywhere, none of it. For editors there are JSON Schemas:
[http](http-rules.schema.json), [rosbridge](rosbridge-rules.schema.json), [rpc](rpc-rules.schema.json),
[serial](serial-rules.schema.json), [tcp](tcp-rules.schema.json), [mqtt](mqtt-rules.schema.json). \`hardshare filter test RULES MESSAGES…\` tells what is
decided, by which rule and why, without hardware; \`hardshare filter learn\` proposes rules from what was recorded. What each
rule must decide stands in [conformance](../../conformance/README.md) too, one case each.

**The first rule whose pattern matches decides**, \`default\` decides the rest. An \`allow\` whose conditions fail blocks: no later
rule is asked. Conditions are tried in this order, and the first that fails is the reason which the user sees:

1. what two parsers could read in two ways is refused (\`strict\`), whatever the rules say, also with \`mode: shadow\`;
2. schemas of path, query and body, of a ROS message, or of the named parts of a line;
3. \`clamp\`: numbers that fit the schema are brought into range. A range that contradicts the schema refuses, and so does a text
   or number where the way to a range leads on;
4. \`rate\`: at most so many in _any_ such time, not on average. After a crash of the filter it starts empty;
5. \`budget\`: written down before the message passes. When that fails, as on a full disk, nothing passes.

A message that was judged as a whole is written anew from its parsed form. An \`allow\` matches the very text of its pattern, a
\`block\` also what a device could take for it, such as other letter case.

**Schemas** are [JSON Schema](https://json-schema.org/draft/2020-12), draft 2020-12, read strictly: an unknown keyword, a
\`minimum\` without \`type: number\`, \`properties\` without \`type: object\` and \`format\` (which nothing checks) are mistakes.
Fields that are not named pass unless the schema says \`additionalProperties: false\`. A text of more than 1,024 characters fits
no schema that has a \`pattern\` for it, and \`uniqueItems\` needs a \`maxItems\` of at most 1,000: the expression is the owner's, the
text is not. JSON may not hold a field twice (also in another letter case), whole numbers beyond what a double holds, NUL,
half surrogate pairs, or more than 64 levels.

**A limit belongs to a pattern**: it goes on where it was when the file is read again, also with another number. A \`budget\`
survives a crash; it lasts as long as the instance. Both count by a clock that only grows, a budget by wall time as well:
setting the clock forward fills none.

## http

${fieldTable(http)}

### rules

An entry is one of these.

${http.rules.items.anyOf.map((form) => fieldTable(form.properties)).join("\n\n")}

### response

${fieldTable(http.response.properties)}

## rosbridge

${fieldTable(rosbridge)}

### rules

An entry is one of these.

${rosbridge.rules.items.anyOf.map((form) => fieldTable(form.properties)).join("\n\n")}

Reserved names pass only by a rule that writes them out, never by \`{name}\`, \`*\` or \`default: allow\`: those of rosapi, those with a part
that begins with \`_\`, and services that set parameters or log levels, or change the state of a node.

## serial

${fieldTable(serial)}

### messages

${fieldTable(serial.messages.properties)}

### rules, output.rules

An entry is one of these.

${serial.rules.items.anyOf.map((form) => fieldTable(form.properties)).join("\n\n")}

## rpc

Named procedures: requests that are judged as those of \`http\`, and answered by programs of the owner. The program gets its
arguments one by one, through no shell; a value is one argument, or a part of one, whatever is in it. Exit status 0: the output
is the answer. Another one: 500, with \`exit_status\` and the end of standard error. A program is killed, with its process
group, when it takes or writes too much, when its caller leaves, and with the filter. Of one procedure \`at_once\` may run;
others run beside it, so that a stop does not wait for a move.

${fieldTable(rpc)}

### rules

An entry is one of these.

${rpc.rules.items.anyOf.map((form) => fieldTable(form.properties)).join("\n\n")}

## tcp

A message is a connection, from its first byte, or from when it has been open for half a second. The peer is who
connects to the filter: a connection out of an instance, or through a tunnel, always comes from this computer's host daemon,
127.0.0.1, whoever the user is. Addresses tell peers apart when the filter is run by hand with another \`--host\`; who may reach
an instance is said by its firewall rules. When the file is read again, connections that are not allowed any more are closed.

${fieldTable(tcp)}

### rules

An entry is one of these.

${tcp.rules.items.anyOf.map((form) => fieldTable(form.properties)).join("\n\n")}

## mqtt

${fieldTable(mqtt)}

An \`allow\` must cover all of a subscription, a \`block\` holds when it overlaps with it; what the broker sends is judged by the
\`subscribe\` entries again. Topics that begin with \`$\`, and shared subscriptions, pass only by an entry that names them.
A \`#\` after a blank begins a comment in YAML: write \`"subscribe robots/#"\` in quotes.

### rules

An entry is one of these.

${mqtt.rules.items.anyOf.map((form) => fieldTable(form.properties)).join("\n\n")}
`;
}
