import { isDeepStrictEqual } from "node:util";
import { AppError } from "@hardshare/protocol";
import { type Document, isCollection, isMap, isSeq, parseDocument } from "yaml";
import { spliceYaml } from "./yaml-splice.ts";

/** One change of a YAML text. `path` names mapping entries by their keys, and entries of lists by their index. */
export type YamlEdit =
  | { do: "set"; path: readonly (string | number)[]; value: unknown }
  /** Appends to a list, which is made when there is none. */
  | { do: "add"; path: readonly (string | number)[]; value: unknown }
  /** Removes an entry with the comments in it; what is around it stays, as an empty one if need be. */
  | { do: "remove"; path: readonly (string | number)[] };

/**
 * Changes a YAML text and keeps the rest of it as it is written: comments, order, blanks, quotes. Where a change cannot
 * be made in place (a text in a form that few write), the text is written anew, with its comments and in its order.
 * @param text of one document without errors, for instance one that `parseYamlWith` read
 * @throws AppError `config_invalid` when the change does not fit what is there, such as a list entry for a mapping
 */
export function editYaml(text: string, edits: readonly YamlEdit[], file: string): string {
  return edits.reduce((written, edit) => editOnce(written, edit, file), text);
}

function editOnce(text: string, edit: YamlEdit, file: string): string {
  const meant = parseDocument(text);
  try {
    apply(meant, edit);
  } catch (cause) {
    const field = edit.path.join(".");
    throw new AppError("config_invalid", `${file}: ${field} is written in a way that can't be edited here: change it by hand`, {
      details: { file, field },
      cause,
    });
  }
  const expected: unknown = meant.toJS();
  const spliced = spliceYaml(text, edit);
  if (spliced !== undefined && says(spliced, expected)) return spliced;
  return meant.toString({ lineWidth: 0 });
}

function says(text: string, expected: unknown): boolean {
  const document = parseDocument(text);
  return document.errors.length === 0 && document.warnings.length === 0 && isDeepStrictEqual(document.toJS(), expected);
}

function apply(document: Document.Parsed, edit: YamlEdit): void {
  const { path } = edit;
  if (edit.do === "remove") {
    if (!document.deleteIn(path)) throw new Error("there is no such entry");
    return;
  }
  if (edit.do === "set") {
    const parent = path.slice(0, -1);
    if (parent.length > 0 && document.getIn(parent) === null) document.setIn(parent, document.createNode({})); // `env:` alone
    document.setIn(path, document.createNode(edit.value));
    return;
  }
  const list = document.getIn(path);
  if (isSeq(list)) list.add(document.createNode(edit.value));
  else if (list === undefined || list === null) document.setIn(path, document.createNode([edit.value]));
  else throw new Error(`expected a list, found ${isMap(list) ? "a mapping" : isCollection(list) ? "something else" : "a value"}`);
}
