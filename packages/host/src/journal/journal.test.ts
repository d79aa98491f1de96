import { execFileSync } from "node:child_process";
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DeploymentId, InstanceId } from "@hardshare/protocol";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { JournalEntry } from "./entries.ts";
import { applyEntry, emptyJournalState, entriesOf, type JournalState } from "./journal-state.ts";
import { Journal } from "./journal.ts";

const deploymentId = DeploymentId.parse("00000000-0000-4000-8000-0000000000aa");
const instanceId = (n: number) => InstanceId.parse(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`);
const deadline = { wallMs: 1000, uptimeMs: 500, bootId: "boot" };
const AT = "2026-01-01T00:00:00.000Z";
const started = (epoch: number, contract = ""): JournalEntry => {
  const folder = "/f";
  return {
    kind: "started",
    at: AT,
    deploymentId,
    instanceId: instanceId(epoch),
    epoch,
    user: "bob",
    deadline,
    contract,
    folder,
    sequence: 0,
  };
};
const ended = (epoch: number): JournalEntry => {
  const residue: string[] = [];
  return { kind: "ended", at: AT, deploymentId, instanceId: instanceId(epoch), epoch, reason: "user", clean: true, residue, sequence: 9 };
};

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-journal-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

function plain(state: JournalState): unknown {
  return { epochs: [...state.highestEpochs], instances: [...state.instances], lockouts: [...state.lockouts], stops: [...state.stops] };
}

test("what was appended is there after a restart", async () => {
  const lockout = { kind: "lockout", lockoutId: "l1", deploymentId, reason: "left over", actor: "host", at: AT } as const;
  let before: unknown;
  {
    await using journal = await Journal.open(folder);
    await journal.append(started(1));
    await journal.append({ kind: "up", instanceId: instanceId(1), hostKeys: ["ssh-ed25519 AAAA"], sequence: 7 });
    await journal.record(lockout);
    before = plain(journal.state);
  }
  await using journal = await Journal.open(folder);
  expect(plain(journal.state)).toEqual(before);
  expect(journal.state.instances.get(instanceId(1))).toMatchObject({ isUp: true, sequence: 7, epoch: 1, ended: undefined });
  expect(journal.state.lockouts.get("l1")).toEqual(lockout);
  expect((await stat(journal.path)).mode & 0o777).toBe(0o600);
});

test.each(['{"kind":"started","at":"20', "{\0\0\0\n", "\0\0\0\0"])("a torn last line is dropped: %j", async (torn) => {
  {
    await using journal = await Journal.open(folder);
    await journal.append(started(3));
    await appendFile(journal.path, torn);
  }
  await using journal = await Journal.open(folder);
  expect(journal.state.highestEpochs.get(deploymentId)).toBe(3);
  await journal.append(ended(3));
  const lines = (await readFile(journal.path, "utf8")).trimEnd().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as JournalEntry).kind)).toEqual(["started", "ended"]);
});

test("damage before the last line is refused with its line", async () => {
  await writeFile(join(folder, "journal"), `${JSON.stringify(started(1))}\nrubbish\n${JSON.stringify(ended(1))}\n`);
  await expect(Journal.open(folder)).rejects.toMatchObject({ code: "config_invalid", message: expect.stringContaining("line 2") });
});

test("an entry of a version that knows more is never dropped, also when it is the last", async () => {
  const text = `${JSON.stringify(started(1))}\n{"kind":"handed_over"}\n`;
  await writeFile(join(folder, "journal"), text);
  await expect(Journal.open(folder)).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringMatching(/does not understand at line 2; start the version that wrote it/),
  });
  expect(await readFile(join(folder, "journal"), "utf8")).toBe(text);
});

test("a long journal that cannot be rewritten goes on in the longer file", async () => {
  await mkdir(join(folder, "journal.new"));
  {
    await using journal = await Journal.open(folder);
    for (let epoch = 1; epoch <= 40; epoch++) {
      await journal.append(started(epoch, `# ${"x".repeat(8000)}`));
      await journal.append(ended(epoch));
      await journal.append({ kind: "acknowledged", instanceId: instanceId(epoch), epoch });
    }
    expect((await stat(journal.path)).size).toBeGreaterThan(300 * 1024);
  }
  await using journal = await Journal.open(folder);
  expect(journal.state.highestEpochs.get(deploymentId)).toBe(40);
});

test("a long journal is rewritten with what still matters", async () => {
  let before: unknown;
  {
    await using journal = await Journal.open(folder);
    for (let epoch = 1; epoch <= 60; epoch++) {
      await journal.append(started(epoch, `# ${"x".repeat(8000)}`));
      await journal.append(ended(epoch));
      await journal.append({ kind: "acknowledged", instanceId: instanceId(epoch), epoch });
    }
    before = plain(journal.state);
    expect((await stat(journal.path)).size).toBeLessThan(260 * 1024);
  }
  await using journal = await Journal.open(folder);
  expect(plain(journal.state)).toEqual(before);
  expect([...journal.state.instances.keys()]).toEqual([instanceId(60)]);
});

test.skipIf(process.geteuid?.() !== 0)("with a full disk a launch is refused, but an end is recorded once there is room", async () => {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
  try {
    const filler = join(folder, "filler");
    {
      await using journal = await Journal.open(folder);
      await journal.append(started(1));
      await writeFile(filler, Buffer.alloc(128 * 1024)).catch(() => {});
      await expect(journal.append(started(2, "y".repeat(8000)))).rejects.toMatchObject({
        message: expect.stringContaining("cannot be written"),
      });
      expect(journal.state.highestEpochs.get(deploymentId)).toBe(1);
      const problem = await journal.record({ ...ended(1), log: "z".repeat(8000) } as JournalEntry);
      expect(problem?.message).toContain("cannot be written");
      expect(journal.state.instances.get(instanceId(1))?.ended).toBeDefined();
      await rm(filler);
      await journal.append({ kind: "acknowledged", instanceId: instanceId(1), epoch: 1 });
    }
    await using journal = await Journal.open(folder);
    expect(journal.state.instances.get(instanceId(1))).toMatchObject({ isAcknowledged: true, ended: { reason: "user" } });
  } finally {
    execFileSync("umount", [folder]);
  }
});

const entry: fc.Arbitrary<JournalEntry> = fc
  .integer({ min: 1, max: 5 })
  .chain((epoch) =>
    fc.constantFrom<JournalEntry>(
      started(epoch),
      ended(epoch),
      { kind: "up", instanceId: instanceId(epoch), hostKeys: ["k"], sequence: epoch },
      { kind: "ending", instanceId: instanceId(epoch), reason: "expired" },
      { kind: "moved", instanceId: instanceId(epoch), deadline: { ...deadline, wallMs: epoch } },
      { kind: "acknowledged", instanceId: instanceId(epoch), epoch },
      { kind: "lockout", lockoutId: `l${epoch}`, deploymentId, reason: "r", actor: "host", at: AT },
      { kind: "lockout_acknowledged", lockoutId: `l${epoch}` },
      { kind: "stopped", deploymentId, lockoutId: `l${epoch}` },
      { kind: "lockout", lockoutId: `estop:${epoch}`, deploymentId, reason: "r", actor: "host", at: AT },
      { kind: "lockout_acknowledged", lockoutId: `estop:${epoch}` },
      { kind: "stopped", deploymentId, lockoutId: `estop:${epoch}` },
    ),
  );

test("the newest end counts for a rest, also where the clock was set back since the one before", () => {
  const state = emptyJournalState();
  for (const [epoch, at] of [
    [1, "2026-01-01T12:00:00Z"],
    [2, "2026-01-01T11:10:00Z"],
  ] as const) {
    for (const each of [started(epoch), { ...ended(epoch), at }]) applyEntry(state, each);
  }
  expect(state.lastEnds.get(deploymentId)).toBe("2026-01-01T11:10:00Z");
});

test("compaction never changes what the journal says", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 40 }), (entries) => {
      const state = emptyJournalState();
      for (const each of entries) applyEntry(state, each);
      const again = emptyJournalState();
      for (const each of entriesOf(state)) applyEntry(again, each);
      const facts = ({ highestEpochs, lastEnds, instances, lockouts, unfinishedStops, stops }: JournalState) => ({
        lastEnds: [...lastEnds],
        stops: [...stops],
        unfinishedStops: [...unfinishedStops.keys()].toSorted((a, b) => a.localeCompare(b)),
        epochs: [...highestEpochs],
        lockouts: [...lockouts.keys()].toSorted((a, b) => a.localeCompare(b)),
        instances: [...instances.values()]
          .map(({ epoch, isUp, hostKeys, endReason, ended, isAcknowledged, deadline, sequence }) => {
            return { epoch, isUp, hostKeys, endReason, ended, isAcknowledged, deadline, sequence };
          })
          .toSorted((a, b) => a.epoch - b.epoch),
      });
      expect(facts(again)).toEqual(facts(state));
    }),
  );
});
