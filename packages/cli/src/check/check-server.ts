/**
 * What `hardshare check` learns from the server about deployments of this computer: reachable, token, clock, hubs, and
 * whether each may be launched. What it finds is told as it is found.
 */
import type { HardshareClient } from "@hardshare/client";
import { AppError, type CheckFinding, type ErrorCode, makeFinding, toAppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";

/** Clocks that differ by more end instances early or late; as the host daemon warns. */
const CLOCK_TOLERANCE_MS = 60_000;

interface ServerCheck {
  client: HardshareClient;
  deployments: readonly string[];
  clock: Clock;
  report: (finding: CheckFinding) => void;
}

/** @returns whether the server answers and takes the token: only then is anything else known of it */
export async function checkServer({ client, deployments, clock, report }: ServerCheck): Promise<boolean> {
  try {
    await checkClock(client, clock, report);
    const { owner, wdeployments } = await client.ownedDeployments({ withDissolved: true });
    for (const id of deployments) {
      const known = wdeployments.find((each) => each.id === id);
      if (known === undefined) report(await findOwner(client, id, owner));
      else findRefusals(known).forEach(report);
    }
    return true;
  } catch (error) {
    report(asFinding(toAppError(error), client.url));
    return false;
  }
}

/** What keeps a check of the server from going on, as a finding. @throws the error, when it is about something else */
function asFinding(error: AppError, url: string): CheckFinding {
  const cause = `${url}: ${error.message}`;
  if (REFUSALS.has(error.code)) return makeFinding("token_invalid", { deployment: null, cause });
  if (SILENCE.has(error.code)) return makeFinding("server_unreachable", { deployment: null, cause });
  throw error;
}

const REFUSALS: ReadonlySet<ErrorCode> = new Set(["wrong_token", "token_scope", "access_denied"]);
const SILENCE: ReadonlySet<ErrorCode> = new Set(["server_unreachable", "timed_out", "connection_lost", "protocol_violation", "internal"]);

/** The server tells whole seconds, at some moment between the request and its answer. */
async function checkClock(client: HardshareClient, clock: Clock, report: ServerCheck["report"]): Promise<void> {
  const asked = clock.now();
  const time = await client.serverTime();
  const answered = clock.now();
  if (time === undefined) return;
  const aheadMs = asked - (time.getTime() + 999);
  const behindMs = time.getTime() - answered;
  const offMs = Math.max(aheadMs, behindMs);
  if (offMs <= CLOCK_TOLERANCE_MS) return;
  const cause = `the clock of this computer is ${Math.round(offMs / 1000)} s ${aheadMs > behindMs ? "ahead of" : "behind"} the server's`;
  report(makeFinding("clock_wrong", { deployment: null, cause }));
}

/** Whose a deployment is that is not among the caller's. */
async function findOwner(client: HardshareClient, id: string, owner: string): Promise<CheckFinding> {
  try {
    const { owner: other } = await client.deployment(id);
    return makeFinding("wrong_owner", { deployment: id, cause: `it belongs to ${other}; the API token to ${owner}` });
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== "not_found") throw error;
    return makeFinding("deployment_unknown", { deployment: id, cause: `${client.url} does not know it` });
  }
}

type Owned = Awaited<ReturnType<HardshareClient["ownedDeployments"]>>["wdeployments"][number];

function findRefusals({ id, dissolved, dissolved_info: dissolution, lockout_info: lockout }: Owned): CheckFinding[] {
  if (dissolved !== null) {
    const by = dissolution === undefined ? "" : ` by ${dissolution.actor}: ${dissolution.reason}`;
    return [makeFinding("dissolved", { deployment: id, cause: `it was dissolved (${dissolved})${by}` })];
  }
  if (lockout === undefined) return [];
  const cause = `locked out by ${lockout.actor} at ${lockout.at} UTC: ${lockout.reason}`;
  return [makeFinding("locked_out", { deployment: id, cause, fix: `look at the hardware, then \`hardshare unlock ${id}\`` })];
}
