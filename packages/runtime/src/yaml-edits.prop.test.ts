import fc from "fast-check";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { editYaml, type YamlEdit } from "./yaml-edits.ts";

interface Written {
  /** The lines, without line ends; each comment has a number of its own. */
  lines: string[];
  values: Record<string, unknown>;
}

const scalar = fc.constantFrom("podman", "a b", "x: y", "#no comment", "true", "12", "./stop.sh --now", "it's", "é✓", "- a", "[", "*x");
const quoted = (text: string, style: number) => (style === 0 ? JSON.stringify(text) : `'${text.replaceAll("'", "''")}'`);
const blanks = fc.constantFrom(" ", "  ", "      ");

/** One field in one of the ways to write it. */
const field = (key: string) =>
  fc
    .record({
      kind: fc.constantFrom("scalar", "block list", "inline list", "block map", "inline map", "maps", "nothing"),
      entries: fc.array(scalar, { minLength: 1, maxLength: 3 }),
      style: fc.nat(1),
      gap: blanks,
      indent: fc.constantFrom(0, 1, 2, 4),
      before: fc.array(fc.constantFrom("", "#", "  #", "      #"), { maxLength: 2 }),
      isCommented: fc.boolean(),
    })
    .map(({ kind, entries, style, gap, indent, before, isCommented }): Written => {
      const texts = entries.map((entry) => quoted(entry, style));
      const end = isCommented ? `${gap}#` : "";
      const pad = " ".repeat(indent);
      const inMap = " ".repeat(Math.max(1, indent));
      const named = entries.map((entry, index) => [`K${index}`, entry] as const);
      const [lines, value]: [string[], unknown] = {
        scalar: (): [string[], unknown] => [[`${key}:${gap}${texts[0]}${end}`], entries[0]],
        "block list": (): [string[], unknown] => [
          [`${key}:${end}`, ...texts.flatMap((text) => [`${pad}-${gap}${text}${end}`, ...before])],
          entries,
        ],
        "inline list": (): [string[], unknown] => [[`${key}:${gap}[${texts.join(`,${gap}`)}]${end}`], entries],
        "block map": (): [string[], unknown] => [
          [`${key}:${end}`, ...texts.map((text, index) => `${inMap}K${index}:${gap}${text}${end}`)],
          Object.fromEntries(named),
        ],
        "inline map": (): [string[], unknown] => [
          [`${key}: {${gap}${texts.map((text, index) => `K${index}: ${text}`).join(", ")} }${end}`],
          Object.fromEntries(named),
        ],
        maps: (): [string[], unknown] => [
          [`${key}:${end}`, ...texts.flatMap((text) => [`${pad}- name:${gap}${text}${end}`, `${pad}  more: [1, 2]`])],
          entries.map((entry) => ({ name: entry, more: [1, 2] })),
        ],
        nothing: (): [string[], unknown] => [[`${key}:${end}`], null],
      }[kind]();
      return { lines: [...before, ...lines], values: { [key]: value } };
    });

const KEYS = ["init", "env", "services", "image"];
const file = fc
  .record({
    fields: fc.tuple(...KEYS.map(field)),
    present: fc.subarray(KEYS),
    newline: fc.constantFrom("\n", "\r\n"),
    isOpen: fc.boolean(),
  })
  .map(({ fields, present, newline, isOpen }) => {
    const chosen = fields.filter((_, index) => present.includes(KEYS[index] ?? ""));
    let count = 0;
    const lines = chosen.flatMap((it) => it.lines).map((line) => line.replace(/#$/, () => `# c${(count += 1)}c`));
    const values = Object.assign({}, ...chosen.map((it) => it.values)) as Record<string, unknown>;
    return { text: lines.join(newline) + (isOpen ? "" : newline), values, newline };
  });

const step = fc.record({
  key: fc.constantFrom(...KEYS),
  do: fc.constantFrom("add", "set", "remove"),
  value: scalar,
  index: fc.nat(3),
});

/** The edit that a step means for these values, with what they are afterwards; undefined where it means none. */
function meant(values: Record<string, unknown>, wanted: { key: string; do: string; value: string; index: number }) {
  const { key, value, index } = wanted;
  const now = values[key];
  if (wanted.do === "add" && (now === undefined || now === null || Array.isArray(now))) {
    return { edit: { do: "add", path: [key], value } satisfies YamlEdit, after: [...((now as unknown[] | null) ?? []), value] };
  }
  if (wanted.do === "set" && (now === null || typeof now === "string" || now === undefined)) {
    return { edit: { do: "set", path: [key], value } satisfies YamlEdit, after: value };
  }
  if (wanted.do === "set" && typeof now === "object" && now !== null && !Array.isArray(now)) {
    return { edit: { do: "set", path: [key, `K${index}`], value } satisfies YamlEdit, after: { ...now, [`K${index}`]: value } };
  }
  if (wanted.do === "remove" && Array.isArray(now) && index < now.length) {
    return { edit: { do: "remove", path: [key, index] } satisfies YamlEdit, after: now.toSpliced(index, 1) };
  }
  if (wanted.do === "remove" && typeof now === "object" && now !== null && `K${index}` in now) {
    const { [`K${index}`]: _, ...rest } = now as Record<string, unknown>;
    return { edit: { do: "remove", path: [key, `K${index}`] } satisfies YamlEdit, after: rest };
  }
  return undefined;
}

const commentsOf = (text: string) => [...text.matchAll(/# c\d+c/g)].map(([comment]) => comment);
const linesOf = (text: string) => text.split(/\r?\n/);

test("any edits give what they mean, and change no line and no comment but those of what they are about", () => {
  fc.assert(
    fc.property(file, fc.array(step, { maxLength: 6 }), ({ text, values, newline }, steps) => {
      let written = text;
      const now = { ...values };
      for (const wanted of steps) {
        const change = meant(now, wanted);
        if (change === undefined) continue;
        const before = written;
        written = editYaml(before, [change.edit], "x.yaml");
        now[wanted.key] = change.after;
        expect(parse(written) ?? {}).toEqual(now);
        const kept = new Set(commentsOf(written));
        const lost = commentsOf(before).filter((comment) => !kept.has(comment));
        const lines = new Set(linesOf(written));
        const changed = linesOf(before).filter((line) => !lines.has(line));
        if (change.edit.do === "remove") {
          expect(lost.length).toBeLessThanOrEqual(1); // on the line of the entry
          expect(changed.length).toBeLessThanOrEqual(3); // that line (two for a mapping), and that of the field
        } else {
          expect(lost).toEqual([]);
          expect(changed.length).toBeLessThanOrEqual(1);
        }
        expect(written.includes("\r\n") || !before.includes("\r\n")).toBe(true);
        if (newline === "\r\n" && before.includes("\r\n")) expect(written).not.toMatch(/[^\r]\n/);
      }
    }),
  );
});
