import { once } from "node:events";
import { rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { AppError, toAppError } from "@hardshare/protocol";
import type { DaemonStatus } from "./daemon-status.ts";

/** What the daemon does when asked on its control socket. */
export interface ControlActions {
  status(): DaemonStatus;
  start(id: string): Promise<void>;
  /** Settles when what is to stop has stopped. `id`: undefined for all. */
  stop(id: string | undefined, isNow: boolean): Promise<string[]>;
  reload(): Promise<void>;
}

/**
 * HTTP on a Unix socket that only this user can open: `GET /status`, `POST /start/ID`, `POST /stop[/ID][?now=1]`,
 * `POST /reload`. Answers are JSON; a failure is `{code, message}` with the status of its code.
 */
export class ControlServer implements AsyncDisposable {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async listen(path: string, actions: ControlActions): Promise<ControlServer> {
    await rm(path, { force: true }); // the state folder's lock says that nobody else listens there
    const server = createServer({ requestTimeout: 0 }, (request, response) => void answer(request, response, actions));
    server.listen(path);
    await once(server, "listening");
    return new ControlServer(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeIdleConnections();
    await closed;
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, actions: ControlActions): Promise<void> {
  request.resume();
  let status = 200;
  let body: unknown;
  try {
    body = await perform(request, actions);
  } catch (error) {
    const { code, message, httpStatus } = toAppError(error);
    status = httpStatus;
    body = { code, message };
  }
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(body));
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
    if (request.method === "POST" && verb === "reload" && id === undefined) {
      await actions.reload();
      return actions.status();
    }
  }
  throw new AppError("not_found", `the host daemon knows no ${request.method} ${url.pathname}`);
}
