import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { type FilterKind, httpFilterKind, runFilter } from "@hardshare/filters";
import { silentLogger, systemClock } from "@hardshare/runtime";
import { type LedgerEntry, type Robot, startRobot } from "@hardshare/sim";

type Decided = Parameters<Parameters<FilterKind<unknown>["start"]>[0]["onDecision"]>[0];

/** A simulated robot behind a filter, with all that was decided and all that reached it. */
export interface AttackedRobot extends AsyncDisposable {
  /** Port of the filter. */
  readonly port: number;
  /** Decisions since they were last taken away. */
  readonly decisions: Decided[];
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
  const decisions: Decided[] = [];
  const inner = kindFor(robot);
  const kind: typeof inner = {
    ...inner,
    start: (tools) =>
      inner.start({
        ...tools,
        onDecision(decision) {
          decisions.push(decision);
          tools.onDecision(decision);
        },
      }),
  };
  const stdout = new PassThrough({ encoding: "utf8" });
  const end = new AbortController();
  const running = runFilter({
    kind,
    rulesFile,
    host: "127.0.0.1",
    port: 0,
    stateFile: undefined,
    decisionsFile: undefined,
    stdout,
    stderr: new PassThrough().resume(),
    onReloadAsked: () => ({ [Symbol.dispose]: () => {} }),
    signal: end.signal,
    clock: systemClock,
    logger: silentLogger,
  });
  const address = await Promise.race([new Promise<string>((resolve) => stdout.once("data", resolve)), running.then(() => "")]);
  let last = 0;
  return {
    port: Number(address.trim().split(":")[1]),
    decisions,
    async readLedger() {
      const answer = await fetch(`${robot.url}/ledger?after=${last}`);
      const { entries, dropped } = (await answer.json()) as { entries: LedgerEntry[]; dropped: number };
      if (dropped > last) throw new Error("the ledger forgot entries that were not looked at");
      last = entries.at(-1)?.sequence ?? last;
      return entries;
    },
    async [Symbol.asyncDispose]() {
      end.abort();
      await running;
      await robot[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
