import { AppError } from "@hardshare/protocol";
import type { FastifyInstance } from "fastify";

/** Largest request body in bytes; the largest legal one is a public key or a few names. */
const MAX_BODY_BYTES = 256 * 1024;

/**
 * Bodies are JSON whatever the Content-Type says, or says nothing, because existing clients send none
 * (rerobots-http-api.md §1.1); an empty body is no body.
 */
export function installJsonBodies(app: FastifyInstance): void {
  // The framework refuses what is not of the form `type/subtype` before it asks for a parser.
  app.addHook("onRequest", async ({ raw }) => {
    if (raw.headers["content-type"] !== undefined) raw.headers["content-type"] = "application/json";
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string", bodyLimit: MAX_BODY_BYTES }, (_request, text, done) => {
    const trimmed = text.toString().trim();
    if (trimmed === "") return done(null, undefined);
    try {
      done(null, JSON.parse(trimmed));
    } catch (cause) {
      done(new AppError("bad_input", "body not valid JSON", { details: { field: "body", expected: "JSON" }, cause }), undefined);
    }
  });
}
