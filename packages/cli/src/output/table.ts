import { printable } from "./printable.ts";

/** Rows under their headings, columns aligned; what a cell says is made harmless for a terminal. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [headings, ...rows.map((row) => row.map((cell) => printable(cell)))];
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Facts one per line, names aligned; undefined ones are left out. */
export function formatFacts(facts: readonly (readonly [name: string, value: string | undefined])[]): string {
  const known = facts.filter((fact): fact is readonly [string, string] => fact[1] !== undefined);
  const width = Math.max(0, ...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${printable(value)}`).join("\n");
}
