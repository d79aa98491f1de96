/**
 * The error catalogue: every failure that a person or a program can meet has one row here.
 * `httpStatus` is what the API answers, `exitCode` what the command line ends with
 * (0 done, 1 error, 2 usage, 3 busy, 4 not used, 5 denied, 6 host offline, 7 refused by a filter),
 * `isRetryable` whether the same call may succeed later without a change; `meaning` explains it to a person
 * (docs/reference/errors.md is made from it).
 */
export const ERROR_CATALOGUE = {
  bad_input: {
    httpStatus: 400,
    exitCode: 2,
    isRetryable: false,
    meaning: "A field has the wrong form; the message names it and says what was expected.",
  },
  wrong_token: {
    httpStatus: 400,
    exitCode: 5,
    isRetryable: false,
    meaning: "The API token is missing, malformed, expired or revoked: sign in again with `hardshare login`.",
  },
  token_scope: {
    httpStatus: 400,
    exitCode: 5,
    isRetryable: false,
    meaning: "The token is valid, but not for this: it is limited to an instance, a scope or some workspace types.",
  },
  access_denied: {
    httpStatus: 403,
    exitCode: 5,
    isRetryable: false,
    meaning: "You are not allowed to do this; the owner of the deployment can add an access rule for you.",
  },
  rate_limited: { httpStatus: 403, exitCode: 1, isRetryable: true, meaning: "Too many requests in a short time: wait a little." },
  not_found: {
    httpStatus: 404,
    exitCode: 1,
    isRetryable: false,
    meaning: "No such deployment, instance, user or rule, or none that you may see.",
  },
  unrecognized_command: { httpStatus: 400, exitCode: 1, isRetryable: false, meaning: "The API has no such route." },
  conflict: { httpStatus: 409, exitCode: 1, isRetryable: false, meaning: "It contradicts what is there already; the message says what." },
  busy: {
    httpStatus: 503,
    exitCode: 3,
    isRetryable: true,
    meaning: "Somebody else's instance holds the deployment; the message says until when.",
  },
  resting: {
    httpStatus: 503,
    exitCode: 3,
    isRetryable: true,
    meaning: "The hardware rests: after an instance, outside of the lab's hours, or until a monitor passes; the message says until when.",
  },
  host_offline: {
    httpStatus: 503,
    exitCode: 6,
    isRetryable: true,
    meaning: "The host of the deployment is not connected to the server: its owner can look with `hardshare status`.",
  },
  no_hub: { httpStatus: 503, exitCode: 1, isRetryable: true, meaning: "No hub is connected to the server, so no tunnel can be opened." },
  no_port: {
    httpStatus: 503,
    exitCode: 3,
    isRetryable: true,
    meaning: "All public ports of the hub are in use or were until a moment ago.",
  },
  locked_out: {
    httpStatus: 400,
    exitCode: 3,
    isRetryable: false,
    meaning: "The deployment is locked out; the message gives the reason. Its owner lifts it with `hardshare unlock`.",
  },
  dissolved: { httpStatus: 400, exitCode: 1, isRetryable: false, meaning: "The deployment does not exist any more." },
  wrong_state: { httpStatus: 400, exitCode: 1, isRetryable: false, meaning: "The instance is in a state in which this is not possible." },
  launch_failed: {
    httpStatus: 500,
    exitCode: 1,
    isRetryable: true,
    meaning: "A step of the launch failed; the instance's timeline names it and shows its last lines.",
  },
  identity_refused: {
    httpStatus: 403,
    exitCode: 5,
    isRetryable: false,
    meaning: "An identity key is not the pinned one, or a signature is wrong: somebody else may be at the other end.",
  },
  identity_in_use: {
    httpStatus: 409,
    exitCode: 1,
    isRetryable: true,
    meaning: "Another host or hub with the same identity key is connected: a copied disk or card, or a daemon that still runs.",
  },
  version_mismatch: {
    httpStatus: 400,
    exitCode: 1,
    isRetryable: false,
    meaning: "The two ends speak no common version of the protocol: upgrade the older one.",
  },
  protocol_violation: { httpStatus: 400, exitCode: 1, isRetryable: false, meaning: "The other end sent what the protocol does not allow." },
  not_configured: {
    httpStatus: 400,
    exitCode: 1,
    isRetryable: false,
    meaning: "This computer has no configuration for this yet; the message gives the command that makes one.",
  },
  config_invalid: {
    httpStatus: 400,
    exitCode: 1,
    isRetryable: false,
    meaning: "A configuration file is wrong; the message gives file, line, field and what was expected.",
  },
  engine_missing: {
    httpStatus: 503,
    exitCode: 1,
    isRetryable: false,
    meaning: "No container engine was found; the message says where it was looked for and how to install one.",
  },
  engine_failed: {
    httpStatus: 500,
    exitCode: 1,
    isRetryable: true,
    meaning: "The container engine refused or failed; the message repeats what it said.",
  },
  image_missing: {
    httpStatus: 503,
    exitCode: 1,
    isRetryable: false,
    meaning: "The container image is not on the host, whose owner has to make or pull it: a launch fetches none.",
  },
  device_missing: { httpStatus: 503, exitCode: 1, isRetryable: false, meaning: "A device file named in the contract does not exist." },
  device_unusable: {
    httpStatus: 503,
    exitCode: 1,
    isRetryable: true,
    meaning: "A device file is there but cannot be opened: it is busy, not permitted, or no device of this kind; the message says which.",
  },
  program_failed: {
    httpStatus: 500,
    exitCode: 1,
    isRetryable: false,
    meaning: "A program of the contract failed or took too long; the message has its last lines.",
  },
  port_in_use: { httpStatus: 503, exitCode: 1, isRetryable: false, meaning: "Another program listens on this port already." },
  timed_out: {
    httpStatus: 503,
    exitCode: 1,
    isRetryable: true,
    meaning: "Something took longer than it may; the message says what was waited for, and how long.",
  },
  cancelled: { httpStatus: 503, exitCode: 1, isRetryable: false, meaning: "It was cancelled before it was done." },
  server_unreachable: {
    httpStatus: 503,
    exitCode: 1,
    isRetryable: true,
    meaning: "The server cannot be reached; the message gives its address.",
  },
  connection_lost: { httpStatus: 503, exitCode: 1, isRetryable: true, meaning: "The connection ended before the answer came." },
  store_unavailable: {
    httpStatus: 503,
    exitCode: 1,
    isRetryable: true,
    meaning: "The server's database can't be reached or started, or its disk is full; the message says which.",
  },
  filter_refused: {
    httpStatus: 403,
    exitCode: 7,
    isRetryable: false,
    meaning: "A filter between you and the device refused the message; the answer gives the rule's reason.",
  },
  internal: { httpStatus: 500, exitCode: 1, isRetryable: true, meaning: "A fault of ours; the server's log has the details." },
} as const satisfies Record<string, { httpStatus: number; exitCode: number; isRetryable: boolean; meaning: string }>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

export interface AppErrorOptions {
  /** Facts for programs: the field, what was expected, ids. Never a secret. */
  details?: Record<string, unknown>;
  cause?: unknown;
}

/** The one error type: `message` says what happened and what to do, for a person. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly details: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get httpStatus(): number {
    return ERROR_CATALOGUE[this.code].httpStatus;
  }

  get exitCode(): number {
    return ERROR_CATALOGUE[this.code].exitCode;
  }

  /** Whether the same call may succeed later without any change by the caller. */
  shouldRetry(): boolean {
    return ERROR_CATALOGUE[this.code].isRetryable;
  }
}

/** The error as it is, or wrapped as `internal` with itself as the cause. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new AppError("internal", message, { cause: error });
}
