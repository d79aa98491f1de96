import type { IncomingMessage } from "node:http";
import { AppError } from "@hardshare/protocol";
import { sourceOf } from "@hardshare/wire/ssh";
import type { FastifyInstance } from "fastify";
import { type Caller, wrongToken } from "./caller.ts";
import type { RateLimits, RateWindows } from "./rate-limits.ts";
import type { Strangers } from "./strangers.ts";

/** Finds out who holds a token; undefined when it is invalid, expired, revoked, or its user is unknown. */
export type Identify = (token: string, origin: string) => Promise<Caller | undefined>;

/** The token of an `Authorization` header, which must start with exactly `Bearer ` (rerobots-http-api.md §1.0). */
export function bearerToken(header: string | undefined): string | undefined {
  return header?.startsWith("Bearer ") === true ? header.slice("Bearer ".length).trim() : undefined;
}

/**
 * Before each request: who is it, may this route be used without a token, and how many requests are left. An invalid
 * token counts as none.
 */
export function installAuthentication(
  app: FastifyInstance,
  deps: {
    identify: Identify;
    /** The same for a token that was found valid before, from memory alone. */
    recognize: (token: string) => Promise<Caller | undefined>;
    addressOf: (request: IncomingMessage) => string;
    limits: RateLimits;
    windows: RateWindows;
    strangers: Strangers;
  },
): void {
  app.decorateRequest("caller", null);
  app.decorateRequest("address", "");
  app.addHook("onRequest", async (request, reply) => {
    if (request.method === "OPTIONS") return;
    const origin = deps.addressOf(request.raw);
    request.address = origin;
    const token = bearerToken(request.headers.authorization);
    const isUrgent = request.routeOptions.config?.isUrgent === true;
    const known = token !== undefined && isUrgent ? await deps.recognize(token) : undefined;
    request.caller = token === undefined ? null : (known ?? (await deps.identify(token, origin)) ?? null);
    if (request.caller !== null) deps.strangers.recognize(request.raw.socket, request.caller.tokenSha256);
    if (request.caller !== null && isUrgent) return; // what it may not do is counted where that is decided
    const standing =
      request.caller === null
        ? deps.windows.take(`address ${sourceOf(origin)}`, deps.limits.anonymousPerHour)
        : deps.windows.take(`token ${request.caller.tokenSha256}`, deps.limits.tokenPerHour);
    reply.headers({
      "x-ratelimit-limit": standing.limit,
      "x-ratelimit-remaining": Math.max(0, standing.remaining),
      "x-ratelimit-reset": standing.resetAtS,
    });
    if (request.caller === null && request.routeOptions.config?.needsCaller === true) throw wrongToken();
    if (standing.remaining < 0) {
      throw new AppError("rate_limited", "too many requests; wait until the time in X-RateLimit-Reset (seconds since 1970)", {
        details: { limit: standing.limit, resetAt: standing.resetAtS },
      });
    }
  });
}
