import { createHash } from "node:crypto";
import { AppError, errorFromAnswer, parseWith, type PeerRole, registerTranscript } from "@hardshare/protocol";
import type { z } from "zod";

/** Longest time for the server's answer. */
const REQUEST_TIMEOUT_MS = 20_000;

export interface RegistrationRequest<Answer extends z.ZodType> {
  server: string;
  path: string;
  /** API token of the user for whom this is registered. */
  token: string;
  body: unknown;
  answer: Answer;
  fetch: typeof fetch;
}

/**
 * Registers a host or hub at its server.
 * @throws AppError `server_unreachable`, `protocol_violation` (no hardshare server), and what the server answers
 */
export async function sendRegistration<Answer extends z.ZodType>(request: RegistrationRequest<Answer>): Promise<z.output<Answer>> {
  const { server, path, token } = request;
  let response: Response;
  let text: string;
  try {
    response = await request.fetch(server + path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify(request.body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (cause) {
    throw new AppError("server_unreachable", `cannot reach ${server}: ${reasonOf(cause)}; check the address and the network`, { cause });
  }
  if (!response.ok) throw errorFromAnswer(response.status, text, `POST ${path} to ${server}`);
  return parseWith(request.answer, parseJson(text), `answer of ${server}`, "protocol_violation");
}

/** The text that proves, once signed, that who sends a registration holds the private key of `key`. */
export function registrationToSign(role: PeerRole, key: string, token: string): string {
  return registerTranscript(role, key, createHash("sha256").update(token).digest("hex"));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `fetch` hides what went wrong in the cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.message || ((cause as NodeJS.ErrnoException).code ?? cause.name);
}
