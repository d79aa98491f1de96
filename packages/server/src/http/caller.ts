import { AppError, type TokenClaims } from "@hardshare/protocol";
import type { FastifyRequest } from "fastify";

/** Who makes a request, as the token says. */
export interface Caller {
  user: string;
  org: string | null;
  isSuperuser: boolean;
  isGuest: boolean;
  tokenSha256: string;
  expiresAt: Date;
  claims: TokenClaims;
}

declare module "fastify" {
  interface FastifyRequest {
    /** Null without a valid token. */
    caller: Caller | null;
    /** Where it comes from, proxies of ours seen through. Not `ip`, which knows of none. */
    address: string;
  }
  interface FastifyContextConfig {
    /** The route answers 400 `wrong authorization token` without a valid token. */
    needsCaller?: boolean;
    /** With a valid token it is never refused for too many requests, and a token that is known does not wait for the store. */
    isUrgent?: boolean;
  }
}

/** Route option: the route needs a valid token. */
export const NEEDS_CALLER = { config: { needsCaller: true } } as const;

export function wrongToken(): AppError {
  return new AppError("wrong_token", "wrong authorization token");
}

/** The caller of a route that needs one. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw wrongToken();
  return request.caller;
}

/** @throws AppError `token_scope` when the token is for one instance only */
export function requireUnconstrained(caller: Caller): void {
  if (caller.claims.in !== undefined) throw new AppError("token_scope", "token is constrained to one instance and permits nothing else");
}

/** @throws AppError `access_denied` unless the caller is superuser, `token_scope` when the token is for one instance only */
export function requireSuperuser(caller: Caller): void {
  requireUnconstrained(caller);
  if (!caller.isSuperuser) throw new AppError("access_denied", "only a superuser may do this; use a token with the claim `su`");
}

/**
 * Whether the token's scope lets it change things: without the claim `sc` everything, else it must contain `rw`.
 * (rerobots-http-api.md §1.0: string or list membership)
 */
export function canWrite(claims: TokenClaims): boolean {
  return claims.sc === undefined || claims.sc.includes("rw");
}

/** @throws AppError `token_scope` when the token may only read, or is for one instance only */
export function requireWriter(caller: Caller): void {
  if (!canWrite(caller.claims)) throw new AppError("token_scope", "token scope does not permit changes");
  requireUnconstrained(caller);
}

/** An address as firewalls and logs know it: IPv4 in IPv6 (`::ffff:a.b.c.d`) becomes IPv4. */
export function plainAddress(address: string | undefined): string {
  const text = address ?? "";
  return text.toLowerCase().startsWith("::ffff:") && text.includes(".") ? text.slice(7) : text;
}
