import { connect } from "node:net";
import type { Contract } from "@hardshare/protocol";
import { type Clock, Deferred } from "@hardshare/runtime";
import type { Findings } from "./findings.ts";

/** How long a device on the network may take to accept a connection. */
const CONNECT_WITHIN_MS = 5000;

/** Looks whether the devices on the network behind the filters of a contract take connections. */
export async function checkTargets(contract: Contract, clock: Clock, signal: AbortSignal, findings: Findings): Promise<void> {
  for (const service of contract.services) {
    if (!("target" in service) || service.target.startsWith("/")) continue;
    const why = await whyUnreachable(service.target, clock, signal);
    if (why !== undefined) findings.add("target_unreachable", `${service.name}: ${service.target} ${why}`);
  }
}

/** @param target host:port, an IPv6 host in brackets @returns undefined when it takes connections */
async function whyUnreachable(target: string, clock: Clock, signal: AbortSignal): Promise<string | undefined> {
  const at = target.lastIndexOf(":");
  const host = target.slice(0, at).replace(/^\[(.*)\]$/, "$1");
  const socket = connect({ host, port: Number(target.slice(at + 1)), signal });
  const outcome = new Deferred<string | undefined>();
  using _tooLate = clock.after(CONNECT_WITHIN_MS, () => outcome.resolve(`takes no connection within ${CONNECT_WITHIN_MS / 1000} s`));
  socket.once("connect", () => outcome.resolve(undefined));
  socket.on("error", (error: NodeJS.ErrnoException) => outcome.resolve(`cannot be reached: ${error.code ?? error.message}`));
  try {
    return await outcome.promise;
  } finally {
    socket.destroy();
  }
}
