import type { FastifyInstance } from "fastify";

/** Headers that let pages of any origin call the API with a token; no cookie is ever used (rerobots-http-api.md §2.0). */
export const CORS_HEADERS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET,POST,DELETE",
  "access-control-expose-headers": "X-RateLimit-Limit,X-RateLimit-Remaining,X-RateLimit-Reset",
} as const;

/** Puts the CORS headers on every answer, errors included, and answers OPTIONS for any path. */
export function installCors(app: FastifyInstance): void {
  app.addHook("onRequest", async (_request, reply) => {
    reply.headers(CORS_HEADERS);
  });
  app.options("/*", async (_request, reply) =>
    reply.header("access-control-allow-headers", "Authorization,Content-Type,Last-Event-ID").send(),
  );
}
