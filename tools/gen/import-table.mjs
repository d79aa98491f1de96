import { code, table } from "./markdown.mjs";

/** The import table of ARCHITECTURE.md. @param {import("../check/repository.mjs").Architecture} architecture */
export function importTable({ rooms }) {
  const rows = Object.entries(rooms)
    .filter(([, room]) => room.folders.every((folder) => folder.startsWith("packages/")))
    .map(([name, room]) => [code(name), ours(room), modules(room), room.bans.map(ban).join("<br>")]);
  return table(["room", "may import of ours", "other modules", "must not, because"], rows);
}

function ours({ ours: names, lazily = [] }) {
  if (names.includes("*")) return "everything";
  return [names.join(", ") || "nothing", ...(lazily.length > 0 ? [`by \`import()\` where used: ${lazily.join(", ")}`] : [])].join("; ");
}

function modules({ modules: names, node }) {
  if (names.includes("*")) return "any";
  return [...names, ...(node ? [code("node:*")] : [])].join(", ") || "none";
}

function ban({ what, because }) {
  return `${what.includes("*") ? "anything else" : what.map((each) => (each.includes(":") ? code(each) : each)).join(", ")}: ${because}`;
}
