import * as z from "zod";

/** Issuer and audience of every API token; existing clients and the existing server expect this text. */
export const TOKEN_ISSUER = "rerobots.net";

/** Claims of an API token: a JWT, RS256 (rerobots-http-api.md §1.0). Times are whole seconds since 1970. */
export const TokenClaims = z.looseObject({
  sub: z.string().min(1),
  iss: z.literal(TOKEN_ISSUER),
  aud: z.literal(TOKEN_ISSUER),
  exp: z.int(),
  nbf: z.int().optional(),
  iat: z.int().optional(),
  jti: z.string().optional(),
  /** Organisation; absent, never null. */
  org: z.string().optional(),
  /** Superuser. */
  su: z.literal(true).optional(),
  /** Token is good for this instance only. */
  in: z.string().optional(),
  /** Scope; must contain `rw` to launch and terminate. Absent means everything. */
  sc: z.union([z.string(), z.array(z.string())]).optional(),
  /** Workspace types that may be launched. */
  wt: z.array(z.string()).optional(),
});
export type TokenClaims = z.infer<typeof TokenClaims>;
