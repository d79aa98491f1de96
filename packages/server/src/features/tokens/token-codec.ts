import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { TOKEN_ISSUER, TokenClaims } from "@hardshare/protocol";
import type { Clock, Random } from "@hardshare/runtime";
import { jwtVerify, SignJWT } from "jose";

/** What a new token says; times are set by the codec. */
export interface NewTokenClaims {
  user: string;
  days: number;
  isSuperuser: boolean;
}

/** So far another replica's clock, which says from when its tokens are good, may be ahead of ours. */
const CLOCK_TOLERANCE_S = 5;

/** Signs and verifies API tokens (JWT, RS256; protocol's `TokenClaims`). Knows no store: a token may still be revoked. */
export class TokenCodec {
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(deps: { tokenKey: KeyObject; clock: Clock; random: Random }) {
    this.#privateKey = deps.tokenKey;
    this.#publicKey = createPublicKey(deps.tokenKey);
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  async sign(claims: NewTokenClaims): Promise<{ token: string; sha256: string; expiresAt: Date }> {
    const nowS = Math.floor(this.#clock.now() / 1000);
    const exp = nowS + Math.round(claims.days * 86_400);
    const token = await new SignJWT({
      sub: claims.user,
      iss: TOKEN_ISSUER,
      aud: TOKEN_ISSUER,
      iat: nowS,
      nbf: nowS,
      exp,
      jti: this.#random.uuid(),
      ...(claims.isSuperuser ? { su: true } : {}),
    })
      .setProtectedHeader({ alg: "RS256", typ: "JWT" })
      .sign(this.#privateKey);
    return { token, sha256: tokenSha256(token), expiresAt: new Date(exp * 1000) };
  }

  /** The claims, or undefined when signature, issuer, audience, times or a claim's type is wrong. */
  async verify(token: string): Promise<TokenClaims | undefined> {
    if (!hasOneSpelling(token)) return undefined;
    try {
      const { payload } = await jwtVerify(token, this.#publicKey, {
        algorithms: ["RS256"],
        issuer: TOKEN_ISSUER,
        audience: TOKEN_ISSUER,
        clockTolerance: CLOCK_TOLERANCE_S,
        currentDate: new Date(this.#clock.now()),
      });
      const claims = TokenClaims.safeParse(payload).data;
      return claims !== undefined && claims.exp * 1000 > this.#clock.now() ? claims : undefined; // the tolerance is not for the end
    } catch {
      return undefined;
    }
  }
}

/**
 * Whether the signature is written as base64url writes it (RFC 4648, section 5). Decoders also take blanks in it and other
 * last characters, whose lowest bits mean nothing: a revoked token, known by its text's hash, would come back under another.
 */
function hasOneSpelling(token: string): boolean {
  const signature = token.slice(token.lastIndexOf(".") + 1);
  return Buffer.from(signature, "base64url").toString("base64url") === signature;
}

/** How a token is stored and revoked: SHA-256 of its compact form, in hexadecimal. */
export function tokenSha256(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
