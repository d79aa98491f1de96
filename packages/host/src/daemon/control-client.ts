import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { AppError, CheckEvent, ERROR_CATALOGUE, type ErrorCode, parseWith } from "@hardshare/protocol";
import * as z from "zod";
import type { CheckWishes } from "../check/check-deployment.ts";
import { DaemonStatus } from "./daemon-status.ts";
import { ReloadedDeployment } from "./reload-deployments.ts";
import { controlSocket } from "./socket-place.ts";

const Failure = z.object({ code: z.string(), message: z.string() });
const Reloaded = z.object({ reloaded: z.array(ReloadedDeployment) });
/** What an E-stop at this computer stopped. */
const EstopTaken = z.object({ deployment: z.string(), instance: z.string().nullable() });
export type Stopped = z.infer<typeof EstopTaken>;
const StopAnswer = z.object({ stopped: z.array(z.string()) });
/** Answers are small; a longer one is none of ours. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** Milliseconds in which a daemon that lives has acted on an E-stop. */
const ESTOP_ANSWER_MS = 1000;
/** Milliseconds in which a daemon that lives says how it is. */
const STATUS_TIMEOUT_MS = 10_000;

/**
 * The status of the daemon that works on this state folder; undefined when none runs.
 * @throws AppError `timed_out` when it runs but does not answer, `cancelled`
 */
export async function daemonStatus(options: { state: string; signal?: AbortSignal }): Promise<DaemonStatus | undefined> {
  const tooLate = AbortSignal.timeout(STATUS_TIMEOUT_MS);
  const signal = options.signal === undefined ? tooLate : AbortSignal.any([options.signal, tooLate]);
  const answer = await ask(options.state, "GET", "/status", signal).catch((error: unknown) => {
    if (!tooLate.aborted) throw error;
    const message = `the host daemon does not answer within ${STATUS_TIMEOUT_MS / 1000} s: it may be stopped or hung; end it and start it again`;
    throw new AppError("timed_out", message, { cause: error });
  });
  return answer === undefined ? undefined : parseWith(DaemonStatus, answer, "status of the host daemon", "protocol_violation");
}

/**
 * Tells a running daemon to offer deployments, too.
 * @throws AppError `not_found` (no such deployment in the configuration), `wrong_state` (no daemon runs)
 */
export async function startAdvertising(options: {
  state: string;
  deployments: readonly string[];
  signal?: AbortSignal;
}): Promise<DaemonStatus> {
  let answer: unknown;
  for (const id of options.deployments) answer = await askRunning(options.state, `/start/${encodeURIComponent(id)}`, options.signal);
  return parseWith(DaemonStatus, answer, "status of the host daemon", "protocol_violation");
}

/**
 * Tells a running daemon to offer a deployment (or all) no more, and waits until it has ended: until its running
 * instance has ended by itself, or, with `now`, has been ended. When the last one has stopped, the daemon ends.
 * @param options.id of a deployment, or its beginning; undefined for all
 * @returns ids of the deployments that were stopped
 * @throws AppError `wrong_state` when no daemon runs, `not_found`, `bad_input` (ambiguous beginning)
 */
export async function stopAdvertising(options: {
  state: string;
  id?: string | undefined;
  now?: boolean;
  signal?: AbortSignal;
}): Promise<{ stopped: string[] }> {
  const path = `/stop${options.id === undefined ? "" : `/${encodeURIComponent(options.id)}`}${options.now === true ? "?now=1" : ""}`;
  return parseWith(StopAnswer, await askRunning(options.state, path, options.signal), "answer of the host daemon", "protocol_violation");
}

/**
 * Tells a running daemon to read contracts and rules files anew. Rules hold at once, contracts for the next instances.
 * @param options.id of a deployment, or its beginning; undefined for all
 * @throws AppError `config_invalid` (file, line, column, field, what was expected): nothing has changed then;
 *   `wrong_state` when no daemon runs, `not_found`, `bad_input` (ambiguous beginning)
 */
export async function reloadFiles(options: {
  state: string;
  id?: string | undefined;
  signal?: AbortSignal;
}): Promise<ReloadedDeployment[]> {
  const path = `/reload${options.id === undefined ? "" : `/${encodeURIComponent(options.id)}`}`;
  const answer = await askRunning(options.state, path, options.signal);
  return parseWith(Reloaded, answer, "answer of the host daemon", "protocol_violation").reloaded;
}

/**
 * Presses E-stop at a running daemon.
 * @returns undefined when no daemon listens
 * @throws AppError `timed_out` when it does not answer at once: it hangs
 */
export async function pressEstop(options: { state: string; id: string; actor: string }): Promise<Stopped | undefined> {
  const tooLate = AbortSignal.timeout(ESTOP_ANSWER_MS);
  const path = `/estop/${encodeURIComponent(options.id)}?by=${encodeURIComponent(options.actor)}`;
  const answer = await ask(options.state, "POST", path, tooLate).catch((error: unknown) => {
    if (!tooLate.aborted) throw error;
    throw new AppError("timed_out", `the host daemon does not answer within ${ESTOP_ANSWER_MS / 1000} s`, { cause: error });
  });
  return answer === undefined ? undefined : parseWith(EstopTaken, answer, "answer of the host daemon", "protocol_violation");
}

/** An address has its limits. */
const MAX_REFUSAL_CHARS = 500;

/** What is said of a check line by line; the last one says how it ended. */
const CheckLine = z.discriminatedUnion("kind", [
  ...CheckEvent.options,
  z.object({ kind: z.literal("done") }),
  Failure.extend({ kind: z.literal("failed") }),
]);

/**
 * Has a running daemon check a deployment, and tells what it finds as it finds it. Aborting has the daemon undo a trial.
 * @throws AppError `wrong_state` when no daemon runs, `busy` (it is being checked), `not_found`, `bad_input` (ambiguous
 *   beginning), `cancelled`
 */
export async function checkAtDaemon(
  options: { state: string; id: string; signal: AbortSignal; emit: (event: CheckEvent) => void } & CheckWishes,
): Promise<void> {
  const { state, id, launches, failFast, refusal, signal, emit } = options;
  const path = `/check/${encodeURIComponent(id)}?launch=${launches ? 1 : 0}&fail-fast=${failFast ? 1 : 0}${refusal === undefined ? "" : `&refusal=${encodeURIComponent(refusal.slice(0, MAX_REFUSAL_CHARS))}`}`;
  const response = await open(state, "POST", path, signal);
  if (response === undefined) throw new AppError("wrong_state", "no host daemon runs here; `hardshare ad` starts one");
  try {
    for await (const text of linesOf(response)) {
      const line = parseWith(CheckLine, JSON.parse(text), "answer of the host daemon", "protocol_violation");
      if (line.kind === "done") return;
      if (line.kind === "failed") throw asFailure(line);
      emit(line);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new AppError("cancelled", "no longer waiting for the host daemon, which undoes what it did", { cause: error });
  }
  throw new AppError("connection_lost", "the host daemon ended while it checked");
}

/** The lines of an answer, as they come. @throws what broke it off */
async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
    if (rest.length > MAX_ANSWER_BYTES) throw new AppError("protocol_violation", "the answer of the host daemon is too long");
  }
}

async function askRunning(state: string, path: string, signal?: AbortSignal): Promise<unknown> {
  const answer = await ask(state, "POST", path, signal);
  if (answer === undefined) throw new AppError("wrong_state", "no host daemon runs here; `hardshare ad` starts one");
  return answer;
}

/** @returns undefined when no daemon listens */
async function ask(state: string, method: string, path: string, signal?: AbortSignal): Promise<unknown> {
  const response = await open(state, method, path, signal);
  if (response === undefined) return undefined;
  let text = "";
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MAX_ANSWER_BYTES) throw new AppError("protocol_violation", "the answer of the host daemon is too long");
  }
  const body: unknown = JSON.parse(text);
  if (response.statusCode === 200) return body;
  throw asFailure(parseWith(Failure, body, "answer of the host daemon", "protocol_violation"));
}

/** The beginning of an answer. @returns undefined when no daemon listens */
async function open(state: string, method: string, path: string, signal?: AbortSignal): Promise<IncomingMessage | undefined> {
  const outgoing = request({ socketPath: controlSocket(state), method, path, ...(signal === undefined ? {} : { signal }) });
  outgoing.end();
  try {
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    return response;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ECONNREFUSED") return undefined;
    if (signal?.aborted === true)
      throw new AppError("cancelled", "no longer waiting for the host daemon; what it was told still holds", { cause });
    throw new AppError("connection_lost", `the host daemon does not answer: ${message}`, { cause });
  }
}

function asFailure({ code, message }: z.infer<typeof Failure>): AppError {
  return new AppError(code in ERROR_CATALOGUE ? (code as ErrorCode) : "internal", message);
}
