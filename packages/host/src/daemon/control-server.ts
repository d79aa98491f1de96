import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { finished } from "node:stream/promises";
import { AppError, type CheckEvent, toAppError } from "@hardshare/protocol";
import { type Clock, within } from "@hardshare/runtime";
import type { CheckWishes } from "../check/check-deployment.ts";
import type { DaemonStatus } from "./daemon-status.ts";
import type { ReloadedDeployment } from "./reload-deployments.ts";

/** How long a daemon that ends waits for what it is doing for a command. */
const ANSWERED_WITHIN_MS = 3000;

/** What the daemon does when asked on its control socket. */
export interface ControlActions {
  status(): DaemonStatus;
  start(id: string): Promise<void>;
  /** Settles when what is to stop has stopped. `id`: undefined for all. */
  stop(id: string | undefined, isNow: boolean): Promise<string[]>;
  /** `id`: undefined for all. Changes nothing when any contract or rules file is wrong. */
  reload(id: string | undefined): Promise<ReloadedDeployment[]>;
  /** Has made nothing pass any more when it returns; does not wait until the hardware is safe. */
  estop(id: string, actor: string): { deployment: string; instance: string | null };
  /** Checks a deployment, and tells what it finds as it finds it; the signal ends it. */
  check(id: string, wishes: CheckWishes, emit: (event: CheckEvent) => void, signal: AbortSignal): Promise<void>;
}

/**
 * HTTP on a Unix socket that only this user can open: `GET /status`, `POST /start/ID`, `POST /stop[/ID][?now=1]`,
 * `POST /reload[/ID]`, `POST /estop/ID?by=NAME`. Answers are JSON; a failure is `{code, message}` with the status of its code.
 * `POST /check/ID[?launch=1][&fail-fast=1][&refusal=WHY]` is answered with a line of JSON for each thing that is told; who hangs up ends it.
 */
export class ControlServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #answers = new Set<Promise<void>>();

  private constructor(actions: ControlActions, clock: Clock) {
    this.#clock = clock;
    this.#server = createServer({ requestTimeout: 0 }, (request, response) => {
      const answering = answer(request, response, actions)
        .catch(() => void response.destroy()) // such as a request for no path
        .finally(() => this.#answers.delete(answering));
      this.#answers.add(answering);
    });
  }

  static async listen(path: string, actions: ControlActions, clock: Clock): Promise<ControlServer> {
    await rm(path, { force: true }); // the state folder's lock says that nobody else listens there
    const control = new ControlServer(actions, clock);
    control.#server.listen(path);
    await once(control.#server, "listening");
    return control;
  }

  /** Who was asking is answered, if that does not take long; whoever is connected and says nothing is cut. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    await within(this.#clock, ANSWERED_WITHIN_MS, Promise.all(this.#answers));
    this.#server.closeAllConnections();
    await closed;
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, actions: ControlActions): Promise<void> {
  request.resume();
  let status = 200;
  let body: unknown;
  const url = new URL(request.url ?? "/", "http://daemon");
  if (request.method === "POST" && url.pathname.startsWith("/check/")) return answerCheck(url, response, actions);
  try {
    body = await perform(request, actions);
  } catch (error) {
    const { code, message, httpStatus } = toAppError(error);
    status = httpStatus;
    body = { code, message };
  }
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(body));
  await finished(response).catch(() => {}); // its client may be gone
}

/** The last line is `{"kind":"done"}`, or `{"kind":"failed"}` with code and message. */
async function answerCheck(url: URL, response: ServerResponse, actions: ControlActions): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort(new AppError("cancelled", "who asked for the check has gone")));
  response.writeHead(200, { "content-type": "application/x-ndjson", connection: "close" });
  const write = (line: unknown) => response.write(`${JSON.stringify(line)}\n`);
  const { searchParams: asked } = url;
  const wishes = {
    launches: asked.get("launch") === "1",
    failFast: asked.get("fail-fast") === "1",
    refusal: asked.get("refusal") ?? undefined,
  };
  try {
    await actions.check(decodeURIComponent(url.pathname.slice("/check/".length)), wishes, write, gone.signal);
    write({ kind: "done" });
  } catch (error) {
    const { code, message } = toAppError(error);
    write({ kind: "failed", code, message });
  }
  response.end();
  await finished(response).catch(() => {}); // its client may be gone
}

async function perform(request: IncomingMessage, actions: ControlActions): Promise<unknown> {
  const url = new URL(request.url ?? "/", "http://daemon");
  const [, verb, id, ...rest] = url.pathname.split("/").map(decodeURIComponent);
  if (rest.length === 0) {
    if (request.method === "GET" && verb === "status" && id === undefined) return actions.status();
    if (request.method === "POST" && verb === "start" && id !== undefined) {
      await actions.start(id);
      return actions.status();
    }
    if (request.method === "POST" && verb === "stop") return { stopped: await actions.stop(id, url.searchParams.get("now") === "1") };
    if (request.method === "POST" && verb === "reload") return { reloaded: await actions.reload(id) };
    if (request.method === "POST" && verb === "estop" && id !== undefined) return actions.estop(id, url.searchParams.get("by") ?? "host");
  }
  throw new AppError("not_found", `the host daemon knows no ${request.method} ${url.pathname}`);
}
