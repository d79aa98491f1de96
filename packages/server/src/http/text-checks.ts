import { AppError, isStorableText } from "@hardshare/protocol";
import type { FastifyInstance } from "fastify";

/** Before each route: refuses texts that no store can keep, wherever in the request they stand. */
export function installTextChecks(app: FastifyInstance): void {
  app.addHook("preValidation", async ({ params, query, body }) => {
    checkTexts("path", params);
    checkTexts("query", query);
    checkTexts("request body", body);
  });
}

/** @throws AppError `bad_input` that names the field */
function checkTexts(what: string, data: unknown): void {
  // A stack of our own: a body may be nested deeper than functions can call each other.
  const rest: { field: string; value: unknown }[] = [{ field: "", value: data }];
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { field, value } = next;
    if (typeof value === "string" && !isStorableText(value)) {
      throw new AppError("bad_input", `${what}${field === "" ? "" : `: ${field}`}: expected text without NUL and halves of characters`, {
        details: { field, expected: "text in UTF-8 without NUL" },
      });
    }
    if (typeof value !== "object" || value === null) continue;
    for (const [key, inner] of Object.entries(value)) rest.push({ field: field === "" ? key : `${field}.${key}`, value: inner });
  }
}
