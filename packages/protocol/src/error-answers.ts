import { AppError, ERROR_CATALOGUE, type ErrorCode } from "./errors.ts";
import { ErrorBody } from "./http-api.ts";

/** The failure that an error answer tells: by its code when it has one of the catalogue, else by its status. */
export function errorFromAnswer(status: number, text: string, request: string): AppError {
  let body: ReturnType<typeof ErrorBody.safeParse> | undefined;
  try {
    body = ErrorBody.safeParse(JSON.parse(text));
  } catch {
    // a proxy in between, or no hardshare server
  }
  const facts = body?.success ? body.data : undefined;
  const message = facts?.error_message || `${request} was answered with HTTP status ${status} and no reason`;
  const code = facts?.code !== undefined && Object.hasOwn(ERROR_CATALOGUE, facts.code) ? (facts.code as ErrorCode) : codeOfStatus(status);
  return new AppError(code, message, { details: facts?.details ?? { status } });
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return "access_denied";
  if (status === 404) return "not_found";
  if (status === 409) return "conflict";
  if (status < 500) return "bad_input";
  return status === 502 || status === 503 || status === 504 ? "server_unreachable" : "internal";
}
