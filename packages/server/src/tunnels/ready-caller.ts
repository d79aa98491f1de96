import type { IncomingMessage } from "node:http";
import type { Database, InstanceDetails } from "@hardshare/db";
import { AppError, InstanceId, parseWith } from "@hardshare/protocol";
import { getInstanceAs, requireInstanceWriter } from "../features/instances/policy.ts";
import { bearerToken, type Identify } from "../http/authentication.ts";
import { type Caller, wrongToken } from "../http/caller.ts";
import type { Strangers } from "../http/strangers.ts";

/** Silence on a user's connection after which TCP asks whether it is still there. */
const TCP_KEEP_ALIVE_MS = 30_000;

interface ReadyCallerDeps {
  database: Database;
  identify: Identify;
  addressOf: (request: IncomingMessage) => string;
  strangers: Strangers;
}

/** Who asks for a WebSocket to an instance, and the instance. */
interface ReadyCaller {
  id: InstanceId;
  caller: Caller;
  found: InstanceDetails;
}

/** Lets in the user of an instance that is READY, and nobody else. @throws AppError that says why not */
export async function admitReadyCaller(deps: ReadyCallerDeps, request: IncomingMessage, parameter: string): Promise<ReadyCaller> {
  const id = parseWith(InstanceId, parameter, "path: instance");
  const caller = await identifyCaller(deps, request);
  deps.strangers.recognize(request.socket, caller.tokenSha256);
  requireInstanceWriter(caller);
  const found = await deps.database.transaction((tx) => getInstanceAs(deps.database, tx, { id, caller, roles: ["user"] }));
  const { state } = found.instance;
  if (state !== "READY") {
    throw new AppError("wrong_state", `instance is not READY but ${state}; there is nothing to connect to`, { details: { state } });
  }
  return { id, caller, found };
}

/** What is sent goes out at once, and one that is gone without a word gives its place back. */
export function setUpConnection({ socket }: IncomingMessage): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
}

async function identifyCaller(deps: ReadyCallerDeps, request: IncomingMessage): Promise<Caller> {
  const token = bearerToken(request.headers.authorization);
  const caller = token === undefined ? undefined : await deps.identify(token, deps.addressOf(request));
  if (caller === undefined) throw wrongToken();
  return caller;
}
