import { join } from "node:path";
import { quoteForShell } from "../output/shell-quote.ts";
import { formatTable } from "../output/table.ts";

/** What `up` tells when all is ready: one JSON line for programs. */
export interface UpFacts {
  url: string;
  user: string;
  token: string;
  deployments: { id: string; type: string; provider: string }[];
  hub: { host: string; sshPort: number; hostKey: string };
  robot: { url: string };
}

/** Characters of an id that are enough to name one of a few. */
const SHORT_ID = 8;
/** Local port in the commands to copy. */
const FORWARD_PORT = 8090;

export interface SummaryOptions {
  /** File that holds the token. */
  tokenFile: string;
  /** Why there is no container deployment, if there is none. */
  missing: string | undefined;
  /** Folders of the demo's host. */
  host: { home: string; state: string };
  /** What people type to start this command. */
  commandName: string;
}

/** The same for people, with commands to copy. */
export function formatUpFacts(facts: UpFacts, { tokenFile, missing, host, commandName }: SummaryOptions): string {
  const container = facts.deployments.find((it) => it.provider !== "proxy");
  const proxy = facts.deployments.find((it) => it.provider === "proxy");
  const blocks = [
    `hardshare is up.

  address     ${facts.url}
  user        ${facts.user}
  token file  ${tokenFile}
  robot       ${facts.robot.url}   (itself, with no filter before it; GET /ledger lists what reached it)`,
    indent(
      formatTable(
        ["DEPLOYMENT", "TYPE", "PROVIDER"],
        facts.deployments.map((it) => [it.id, it.type, it.provider]),
      ),
    ),
    `Sign in, in another terminal, in this folder:

  ${commandName} login --server ${facts.url} --token-file ${quoteForShell(tokenFile)}`,
  ];
  if (container !== undefined) {
    const id = container.id.slice(0, SHORT_ID);
    blocks.push(`A shell in a container beside the robot:

  ${commandName} launch ${container.type} --for 30m --wait
  ${commandName} ssh ${id}
  ${commandName} ssh ${id} -- 'curl -s $ROBOT/api/battery; curl -s -X POST $ROBOT/api/reboot'   # allowed; refused
  ${commandName} terminate ${id}`);
  }
  if (proxy !== undefined) {
    const id = proxy.id.slice(0, SHORT_ID);
    blocks.push(`The robot's HTTP API through a filter; the contract allows the first request and refuses the second:

  ${commandName} launch ${proxy.type} --for 30m --wait
  ${commandName} forward ${id} --local-port ${FORWARD_PORT} &
  curl -i --retry 9 --retry-connrefused http://127.0.0.1:${FORWARD_PORT}/api/battery
  curl -i -X POST http://127.0.0.1:${FORWARD_PORT}/api/reboot
  ${commandName} terminate ${id}`);
  }
  const asOwner = `HARDSHARE_HOME=${quoteForShell(host.home)} HARDSHARE_STATE=${quoteForShell(host.state)} ${commandName}`;
  blocks.push(`You are their owner too: contracts and filter rules are in ${join(host.home, "deployments")}. Change them, then:

  ${asOwner} reload
  ${asOwner} status`);
  if (missing !== undefined) blocks.push(`There is no deployment with containers:\n\n${indent(missing)}`);
  blocks.push("Ctrl-C ends everything.");
  return blocks.join("\n\n");
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
