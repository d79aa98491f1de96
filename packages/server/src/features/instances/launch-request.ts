import { AppError, DeploymentId, LaunchOptions, UUID_PATTERN } from "@hardshare/protocol";
import { parsePublicKey } from "@hardshare/wire/ssh";

/** What a user asks for: one of these deployments, or any of a type. */
export type LaunchTarget = { kind: "deployments"; ids: readonly DeploymentId[] } | { kind: "type"; type: string };

export interface LaunchRequest {
  target: LaunchTarget;
  requestedS: number | null;
  /** OpenSSH public key line, or null: the server makes a key pair. */
  publicKey: string | null;
  /** Whether a key that the server makes is also told in the answer (rerobots-http-api.md §9.9). */
  wantsKeyInAnswer: boolean;
  /** Existing clients ask for it; it is not enforced, which the timeline says. */
  wantsKeepAlive: boolean;
}

/**
 * Reads `POST /new[/X]`.
 * @param x what stood in the path: a deployment id, a type, or undefined (then the body names deployments)
 * @throws AppError `bad_input`, `not_found` when the body names no deployments
 */
export function readLaunchRequest(x: string | undefined, body: unknown): LaunchRequest {
  if (body !== undefined && (typeof body !== "object" || body === null || Array.isArray(body))) {
    throw new AppError("bad_input", "request body: expected a JSON object of options, or none", { details: { field: "body" } });
  }
  const given = body ?? {};
  const target = x === undefined ? targetInBody(given) : targetInPath(x);
  const options = readOptions(given);
  return {
    target,
    requestedS: options.expire_d ?? null,
    publicKey: options.sshkey ?? null,
    wantsKeyInAnswer: "reserve" in given && options.sshkey === undefined,
    wantsKeepAlive: options.keepalive === true,
  };
}

function targetInPath(x: string): LaunchTarget {
  if (UUID_PATTERN.test(x)) return { kind: "deployments", ids: [DeploymentId.parse(x)] };
  if (/^[a-zA-Z_0-9]{1,64}$/.test(x)) return { kind: "type", type: x };
  throw new AppError("bad_input", `path: "${x}" is neither the ID of a workspace deployment (a UUID) nor a workspace type`, {
    details: { field: "id", expected: "a UUID or a workspace type" },
  });
}

function targetInBody(body: object): LaunchTarget {
  const wds = LaunchOptions.shape.wds.safeParse("wds" in body ? body.wds : undefined);
  if (!wds.success || wds.data === undefined) {
    throw new AppError("not_found", "wds: expected a list of IDs of workspace deployments, because the path names none", {
      details: { field: "wds", expected: "a list of UUIDs" },
    });
  }
  return { kind: "deployments", ids: [...new Set(wds.data)] };
}

/** The options, each refused in the words of the existing API (rerobots-http-api.md §2.2) and then with what was expected. */
function readOptions(body: object): Omit<LaunchOptions, "wds"> {
  const parsed = LaunchOptions.omit({ wds: true }).safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = String(issue?.path[0] ?? "body");
    const isTooSmall = field === "expire_d" && issue?.code === "too_small";
    const isWithoutUrl = field === "repo" && issue?.path[1] === "url";
    const wrongType = isWithoutUrl ? "missing url" : `has wrong type: ${issue?.message ?? "unexpected"}`;
    const text = isTooSmall ? "must be positive" : wrongType;
    throw new AppError("bad_input", `value for option \`${field}\` ${text}`, {
      details: { field, expected: isTooSmall ? "a whole number of seconds, at least 1" : issue?.message },
    });
  }
  if (parsed.data.sshkey !== undefined) checkPublicKey(parsed.data.sshkey);
  return parsed.data;
}

function checkPublicKey(line: string): void {
  try {
    parsePublicKey(line);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AppError("bad_input", `value for option \`sshkey\` has wrong type: ${why}`, { details: { field: "sshkey" }, cause });
  }
}
