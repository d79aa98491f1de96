import {
  Document,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  stringify,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import type { YamlEdit } from "./yaml-edits.ts";

/** A piece of the text that is replaced by another. */
interface Splice {
  from: number;
  to: number;
  text: string;
}

/**
 * Makes a change by replacing as little of the text as can be.
 * @returns undefined where it knows no way; what it returns is yet to be checked
 */
export function spliceYaml(text: string, edit: YamlEdit): string | undefined {
  const document = parseDocument(text, { keepSourceTokens: true });
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const splices = new Splicer(text, document.contents).splice(edit);
  if (splices === undefined) return undefined;
  return splices
    .toSorted((a, b) => b.from - a.from)
    .reduce((result, { from, to, text: piece }) => result.slice(0, from) + piece.replaceAll("\n", newline) + result.slice(to), text);
}

class Splicer {
  readonly #text: string;
  readonly #root: Node | null;

  constructor(text: string, root: Node | null) {
    this.#text = text;
    this.#root = root;
  }

  splice(edit: YamlEdit): Splice[] | undefined {
    const parent = this.#find(edit.path.slice(0, -1));
    const key = edit.path.at(-1);
    if (key === undefined) return undefined;
    if (parent === undefined) {
      const [field] = edit.path;
      if (edit.do !== "set" || edit.path.length !== 2 || field === undefined) return undefined;
      return this.#append({ node: this.#root }, { [field]: { [key]: edit.value } });
    }
    if (edit.do === "remove") return this.#remove(parent, key);
    const pair = typeof key === "string" && isMap(parent.node) ? findPair(parent.node, key) : undefined;
    if (pair === undefined) {
      if (typeof key !== "string") return undefined;
      return this.#append(parent, { [key]: edit.do === "add" ? [edit.value] : edit.value });
    }
    if (edit.do === "set") return this.#replace(pair, edit.value);
    return this.#append({ node: pair.value as Node | null, pair }, [edit.value]);
  }

  /** A node and, unless it is the whole, the pair whose value it is. Undefined when it is not there. */
  #find(path: readonly (string | number)[]): Place | undefined {
    let place: Place = { node: this.#root };
    for (const segment of path) {
      const { node }: Place = place;
      if (isMap(node)) {
        const pair = findPair(node, String(segment));
        if (pair === undefined) return undefined;
        place = { node: pair.value as Node | null, pair };
      } else if (isSeq(node)) place = { node: (node.items[Number(segment)] as Node | undefined) ?? null };
      else return undefined;
    }
    return place;
  }

  /** Puts another value in the place of a scalar, or of none. */
  #replace(pair: Pair, value: unknown): Splice[] | undefined {
    const { value: node } = pair;
    if (typeof value === "object") return undefined;
    if (node === null || isNothing(node)) {
      const colon = this.#colonOf(pair);
      return [{ from: colon, to: colon, text: ` ${inline(value)}` }];
    }
    if (!isScalar(node)) return undefined;
    const [from, to] = node.range ?? [0, 0];
    if (this.#text.slice(from, to).includes("\n")) return undefined;
    return [{ from, to, text: inline(value) }];
  }

  /** Puts one more entry at the end of a mapping or list. */
  #append({ node, pair }: Place, entry: object): Splice[] | undefined {
    if (node === null || isNothing(node) || (isCollection(node) && node.items.length === 0 && pair !== undefined)) {
      return pair === undefined ? this.#appendToText(entry) : this.#fill(pair, node, entry);
    }
    if (!isMap(node) && !isSeq(node)) return undefined;
    if (node.flow === true) return this.#appendInline(node, entry);
    const first = isMap(node) ? (node.items[0]?.key as Node | undefined)?.range?.[0] : this.#dashOf(node, 0);
    if (first === undefined) return undefined;
    return [this.#linesAfter(this.#endOf(node), asBlock(entry, first - this.#lineStart(first)))];
  }

  /** The first entry of a file that says nothing yet. */
  #appendToText(entry: object): Splice[] {
    const end = this.#text.length;
    const isLineOpen = end > 0 && !this.#text.endsWith("\n");
    return [{ from: end, to: end, text: `${isLineOpen ? "\n" : ""}${asBlock(entry, 0)}\n` }];
  }

  /** The first entry of a list or mapping that is empty: `env:`, `env: {}`. */
  #fill(pair: Pair, empty: Node | null, entry: object): Splice[] | undefined {
    const key = pair.key as Node;
    const [start = 0, end = 0] = key.range ?? [];
    const [from, to] = isCollection(empty) ? [empty.range?.[0] ?? 0, empty.range?.[1] ?? 0] : [end, end];
    if (isCollection(empty) && !/^[[{]\s*[\]}]$/.test(this.#text.slice(from, to))) return undefined;
    const removed = isCollection(empty) ? [{ from: this.#skipBack(from), to, text: "" }] : [];
    const lines = asBlock(entry, start - this.#lineStart(start) + 2);
    return [...removed, this.#linesAfter(to, lines)];
  }

  #appendInline(node: YAMLMap | YAMLSeq, entry: object): Splice[] {
    const inner = inline(entry).replace(/^[[{]\s*|\s*[\]}]$/g, "");
    if (node.items.length > 0) {
      const end = this.#endOf(node.items.at(-1) as Node | Pair);
      return [{ from: end, to: end, text: `, ${inner}` }];
    }
    const open = (node.range?.[0] ?? 0) + 1;
    return [{ from: open, to: open, text: isMap(node) ? ` ${inner} ` : inner }];
  }

  #remove({ node, pair }: Place, key: string | number): Splice[] | undefined {
    if (!isMap(node) && !isSeq(node)) return undefined;
    const index = isMap(node) ? node.items.findIndex((item) => isKey(item, String(key))) : Number(key);
    const item = node.items[index] as Node | Pair | undefined;
    if (item === undefined) return undefined;
    if (node.flow === true) return this.#removeInline(node, index);
    const start = isSeq(node) ? this.#dashOf(node, index) : ((item as Pair).key as Node).range?.[0];
    if (start === undefined || !/^\s*$/.test(this.#text.slice(this.#lineStart(start), start))) return undefined;
    const end = this.#endOf(item);
    const lines = { from: this.#lineStart(start), to: this.#lineEnd(Math.max(start, end)), text: "" };
    if (node.items.length > 1 || pair === undefined) return [lines];
    const colon = this.#colonOf(pair);
    return [lines, { from: colon, to: colon, text: isSeq(node) ? " []" : " {}" }];
  }

  /** Removes an entry and one of the commas beside it; comments around it stay. */
  #removeInline(node: YAMLMap | YAMLSeq, index: number): Splice[] | undefined {
    const item = node.items[index] as Node | Pair;
    const from = this.#startOf(item);
    const to = this.#endOf(item);
    const after = /^\s*,[ \t]*/.exec(this.#text.slice(to));
    if (after !== null) return [{ from, to: to + after[0].length, text: "" }];
    if (index === 0) return [{ from, to, text: "" }];
    const previous = this.#endOf(node.items[index - 1] as Node | Pair);
    const comma = this.#text.indexOf(",", previous);
    if (this.#text.slice(comma + 1, from).trim() === "") return [{ from: comma, to, text: "" }];
    return [
      { from: comma, to: comma + 1, text: "" },
      { from, to, text: "" },
    ];
  }

  /** Lines put after the line in which `offset` stands. */
  #linesAfter(offset: number, lines: string): Splice {
    const end = this.#lineEnd(offset);
    const isLineOpen = end > 0 && this.#text[end - 1] !== "\n";
    return { from: end, to: end, text: `${isLineOpen ? "\n" : ""}${lines}\n` };
  }

  /** Behind the colon of an entry. */
  #colonOf(pair: Pair): number {
    return this.#text.indexOf(":", (pair.key as Node).range?.[1] ?? 0) + 1;
  }

  #dashOf(node: YAMLSeq, index: number): number | undefined {
    const start = (node.items[index] as Node | undefined)?.range?.[0];
    if (start === undefined) return undefined;
    const lineStart = this.#lineStart(start);
    const dash = /^\s*-\s/.exec(this.#text.slice(lineStart, start));
    return dash === null ? undefined : lineStart + dash[0].length - 2;
  }

  #startOf(item: Node | Pair): number {
    return ("key" in item ? (item.key as Node) : item).range?.[0] ?? 0;
  }

  /** Where what a node says ends: before blanks and comments after it. */
  #endOf(item: Node | Pair): number {
    if ("key" in item) {
      const { key, value } = item as Pair<Node, Node | null>;
      return value === null || isNothing(value) ? (key.range?.[1] ?? 0) : this.#endOf(value);
    }
    const last = isCollection(item) && item.flow !== true ? (item.items.at(-1) as Node | Pair | undefined) : undefined;
    return last === undefined ? (item.range?.[1] ?? 0) : this.#endOf(last);
  }

  #lineStart(offset: number): number {
    return this.#text.lastIndexOf("\n", offset - 1) + 1;
  }

  /** Behind the line break of the line in which what ends at `offset` ends. */
  #lineEnd(offset: number): number {
    if (offset > 0 && this.#text[offset - 1] === "\n") return offset; // a text in several lines has its line break
    const end = this.#text.indexOf("\n", offset);
    return end === -1 ? this.#text.length : end + 1;
  }

  /** Where the blanks before `offset` begin. */
  #skipBack(offset: number): number {
    return offset - (/[ \t]*$/.exec(this.#text.slice(0, offset))?.[0].length ?? 0);
  }
}

interface Place {
  node: Node | null;
  pair?: Pair;
}

function isKey(item: Pair, key: string): boolean {
  return isScalar(item.key) && String(item.key.value) === key;
}

function findPair(node: YAMLMap, key: string): Pair | undefined {
  return node.items.find((item) => isKey(item, key));
}

/** A value that is left out. */
function isNothing(node: unknown): boolean {
  return isScalar(node) && node.value === null && (node.source ?? "") === "";
}

/** Lines of block style, each with this indent, without the last line break. */
function asBlock(value: object, indent: number): string {
  const lines = stringify(value, { lineWidth: 0 }).trimEnd().split("\n");
  return lines.map((line) => (line === "" ? "" : " ".repeat(indent) + line)).join("\n");
}

/** One line. */
function inline(value: unknown): string {
  const document = new Document([value]);
  const list = document.contents as unknown as YAMLSeq;
  list.flow = true;
  if (isCollection(list.items[0])) list.items[0].flow = true;
  return document
    .toString({ lineWidth: 0, flowCollectionPadding: false })
    .trim()
    .replace(/^\[|\]$/g, "");
}
