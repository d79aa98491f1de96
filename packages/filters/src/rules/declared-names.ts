import type { JsonSchema } from "@hardshare/protocol";
import { foldName } from "./fold-name.ts";

/** The names of fields that a schema speaks of, wherever in it. */
export class DeclaredNames {
  readonly #names = new Set<string>();
  readonly #folded = new Map<string, string>();

  constructor(schema: JsonSchema) {
    this.#gather(schema);
    for (const name of this.#names) this.#folded.set(foldName(name), name);
  }

  /**
   * A field that the schema does not name but a device could take for one that it does, because the spelling differs in
   * letter case alone: what the schema says would not hold for it. Also `__proto__`, which is no field but the ancestor
   * of an object to careless JavaScript.
   * @returns why the value is refused, or undefined
   */
  findLookalike(value: unknown): string | undefined {
    if (typeof value !== "object" || value === null) return undefined;
    const isArray = Array.isArray(value);
    for (const key of Object.keys(value)) {
      if (!isArray && !this.#names.has(key)) {
        if (key === "__proto__") return "expected no field of the name __proto__";
        const meant = this.#folded.get(foldName(key));
        if (meant !== undefined) return `${meant}: expected this spelling, not ${JSON.stringify(key)}`;
      }
      const inside = this.findLookalike((value as Record<string, unknown>)[key]);
      if (inside !== undefined) return inside;
    }
    return undefined;
  }

  #gather(schema: unknown): void {
    if (typeof schema !== "object" || schema === null) return;
    for (const [keyword, value] of Object.entries(schema)) {
      if (keyword === "const" || keyword === "enum" || keyword === "default" || keyword === "examples") continue; // values, no schemas
      if (keyword === "required" && Array.isArray(value)) {
        for (const name of value) this.#names.add(String(name));
      } else if (keyword === "properties" && typeof value === "object" && value !== null) {
        for (const [name, inner] of Object.entries(value)) {
          this.#names.add(name);
          this.#gather(inner);
        }
      } else {
        this.#gather(value);
      }
    }
  }
}
