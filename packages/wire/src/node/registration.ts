import { createHash } from "node:crypto";
import { AppError, errorFromAnswer, parseWith, type PeerRole, registerTranscript } from "@hardshare/protocol";
import type * as z from "zod";

/** Longest time for the server's answer. */
const REQUEST_TIMEOUT_MS = 20_000;
/** Far more than a server's answer, or a proxy's page of an error. */
const MAX_ANSWER_BYTES = 1024 * 1024;

export interface RegistrationRequest<Answer extends z.ZodType> {
  server: string;
  path: string;
  /** API token of the user for whom this is registered. */
  token: string;
  body: unknown;
  answer: Answer;
  /** Sends a request. */
  send: (target: URL, request: SentRequest) => Promise<{ status: number; body: AsyncIterable<Uint8Array> }>;
}

interface SentRequest {
  method: string;
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
}

/**
 * Registers a host or hub at its server.
 * @throws AppError `server_unreachable`, `protocol_violation` (no hardshare server), and what the server answers
 */
export async function sendRegistration<Answer extends z.ZodType>(request: RegistrationRequest<Answer>): Promise<z.output<Answer>> {
  const { server, path, token } = request;
  let status: number;
  let text: string;
  try {
    const answer = await request.send(new URL(server + path), {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify(request.body),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    status = answer.status;
    text = await readText(answer.body);
  } catch (cause) {
    throw new AppError("server_unreachable", `cannot reach ${server}: ${reasonOf(cause)}; check the address and the network`, { cause });
  }
  if (status >= 400) throw errorFromAnswer(status, text, `POST ${path} to ${server}`);
  return parseWith(request.answer, parseJson(text), `answer of ${server}`, "protocol_violation");
}

/** The text that proves, once signed, that who sends a registration holds the private key of `key`. */
export function registrationToSign(role: PeerRole, key: string, token: string): string {
  return registerTranscript(role, key, createHash("sha256").update(token).digest("hex"));
}

async function readText(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    all.push(chunk);
    if ((size += chunk.length) > MAX_ANSWER_BYTES) throw new Error(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`);
  }
  return Buffer.concat(all).toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ((error as NodeJS.ErrnoException).code ?? error.name);
}
