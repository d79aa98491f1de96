import { connect } from "node:net";
import { type CheckFinding, makeFinding, toAppError } from "@hardshare/protocol";
import { readHostKey, sameKey } from "@hardshare/wire/ssh";

/** How long a hub may take to show its SSH host key. */
const ANSWERS_WITHIN_MS = 8000;

/** Where a hub is dialled, and the SSH host key that it has to show. */
interface HubPlace {
  name: string;
  host: string;
  port: number;
  hostKey: string;
}

/** Looks whether this computer reaches the SSH port of each hub, and whether it is the hub that answers there. */
export async function checkHubs(hubs: readonly HubPlace[], signal: AbortSignal): Promise<CheckFinding[]> {
  if (hubs.length === 0) return [makeFinding("no_hub", { deployment: null, cause: "the server knows no hub that is connected" })];
  const found = await Promise.all(hubs.map((hub) => checkHub(hub, signal)));
  signal.throwIfAborted();
  return found.flat();
}

async function checkHub({ name, host, port, hostKey }: HubPlace, signal: AbortSignal): Promise<CheckFinding[]> {
  const tooLate = AbortSignal.timeout(ANSWERS_WITHIN_MS);
  const socket = connect({ host, port });
  try {
    const shown = await readHostKey(socket, AbortSignal.any([signal, tooLate]));
    if (sameKey(shown, hostKey)) return [];
    return [unreachable(`${name} at ${host}:${port} shows another SSH host key than the one that the server pinned`)];
  } catch (error) {
    const why = tooLate.aborted ? `it does not answer within ${ANSWERS_WITHIN_MS / 1000} s` : toAppError(error).message;
    return [unreachable(`${name} at ${host}:${port}: ${why}`)];
  } finally {
    socket.destroy();
  }
}

function unreachable(cause: string): CheckFinding {
  return makeFinding("hub_unreachable", { deployment: null, cause });
}
