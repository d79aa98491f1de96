import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FilterKind, httpFilterKind } from "@hardshare/filters";
import { silentLogger, systemClock } from "@hardshare/runtime";
import { type LedgerEntry, type Robot, startRobot } from "@hardshare/sim";
import { type AttackedFilter, startAttackedFilter } from "./attacked-filter.ts";

/** A simulated robot behind a filter, with all that was decided and all that reached it. */
export interface AttackedRobot extends AttackedFilter {
  /** What reached the robot since this was last asked. */
  readLedger(): Promise<readonly LedgerEntry[]>;
}

/**
 * Starts both in this process.
 * @param rules text of a rules file
 * @param kindFor the filter before the robot; `http` unless another is told
 */
export async function startAttackedRobot(
  rules: string,
  kindFor: (robot: Robot) => FilterKind<unknown> = ({ port }) => httpFilterKind({ target: `127.0.0.1:${port}` }),
): Promise<AttackedRobot> {
  const robot = await startRobot({
    host: "127.0.0.1",
    port: 0,
    rosbridgePort: 0,
    ledgerLimit: 100_000,
    clock: systemClock,
    logger: silentLogger,
  });
  const folder = await mkdtemp(join(tmpdir(), "hardshare-attacks-"));
  const rulesFile = join(folder, "robot.rules.yaml");
  await writeFile(rulesFile, rules);
  const { port, decisions, ...filter } = await startAttackedFilter(kindFor(robot), rulesFile);
  let last = 0;
  return {
    port,
    decisions,
    async readLedger() {
      const answer = await fetch(`${robot.url}/ledger?after=${last}`);
      const { entries, dropped } = (await answer.json()) as { entries: LedgerEntry[]; dropped: number };
      if (dropped > last) throw new Error("the ledger forgot entries that were not looked at");
      last = entries.at(-1)?.sequence ?? last;
      return entries;
    },
    async [Symbol.asyncDispose]() {
      await filter[Symbol.asyncDispose]();
      await robot[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
