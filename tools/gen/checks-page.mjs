import { CHECK_CATALOGUE } from "@hardshare/protocol";
import { code, GENERATED, table } from "./markdown.mjs";

/** docs/reference/checks.md */
export function checksPage() {
  const rows = Object.entries(CHECK_CATALOGUE).map(([name, { severity, meaning, fix }]) => [code(name), severity, meaning, fix]);
  return `${GENERATED}

# What \`hardshare check\` finds

Each finding has a code, which stays the same from version to version, a severity, a cause in words, and what to do. The
command ends with 1 when it found an error, else with 0. An *error* means that instances fail or are refused, a *warning*
is a risk that the owner takes, an *info* is good to know.

${table(["code", "severity", "what it means", "what to do"], rows)}
`;
}
