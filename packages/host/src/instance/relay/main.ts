/** Program of the relay; started by `relay-process.ts` only. */
import { closeSync } from "node:fs";
import { NAMESPACE_DESCRIPTOR, RELAY_READY, type RelaySettings } from "./relay-settings.ts";
import { runRelay } from "./run-relay.ts";

// The lifeline: the daemon holds the other end. (A parent-death signal is lost when the user id changes.)
process.stdin.once("end", () => process.exit(0));
process.stdin.once("error", () => process.exit(0));
process.stdin.resume();

closeSync(NAMESPACE_DESCRIPTOR);
await runRelay(JSON.parse(process.argv[2] ?? "") as RelaySettings);
process.stdout.write(`${RELAY_READY}\n`);
