import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { FilterReport } from "@hardshare/protocol";
import { ManualClock, silentLogger } from "@hardshare/runtime";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DecisionLog } from "./decision-log.ts";
import { DecisionsFile } from "./decisions-file.ts";
import type { Judgement } from "./filter-kind.ts";
import { Pulse } from "./pulse.ts";
import { ReportWriter } from "./report-writer.ts";

let clock: ManualClock;
let stream: PassThrough;
beforeEach(() => {
  clock = new ManualClock();
  stream = new PassThrough({ encoding: "utf8", highWaterMark: 1024 ** 2 });
});

/** Reports that were written since the last call. */
function written(): FilterReport[] {
  const lines = ((stream.read() as string | null) ?? "").split("\n").slice(0, -1);
  return lines.map((line) => FilterReport.parse(JSON.parse(line)));
}

const judgement = (changes: Partial<Judgement> = {}): Judgement => ({
  direction: "in",
  rule: "GET /a",
  decision: "allow",
  mode: "enforce",
  summary: "GET /a",
  ...changes,
});

describe("decisions", () => {
  const startLog = (writer = new ReportWriter(stream)) => new DecisionLog({ filter: "http", reports: writer, clock });

  test("the first of a rule is told at once, those of each following second together", () => {
    using log = startLog();
    log.add(judgement());
    expect(written()).toMatchObject([{ filter: "http", rule: "GET /a", decision: "allow", at: new Date(clock.now()).toISOString() }]);
    for (const summary of ["GET /a?1", "GET /a?2", "GET /a?3"]) log.add(judgement({ summary }));
    expect(written()).toEqual([]);
    clock.advance(1000);
    expect(written()).toMatchObject([{ summary: "GET /a?3", count: 3 }]);
    log.add(judgement());
    expect(written()).toEqual([]);
    clock.advance(1000);
    const [single] = written();
    expect(single).not.toHaveProperty("count");
    clock.advance(1000);
    log.add(judgement());
    expect(written()).toHaveLength(1);
  });

  test("of other rules, decisions and directions are told apart", () => {
    using log = startLog();
    log.add(judgement());
    log.add(judgement({ decision: "block", because: "why" }));
    log.add(judgement({ direction: "out" }));
    log.add(judgement({ rule: "default" }));
    log.add(judgement({ mode: "shadow" }));
    expect(written()).toHaveLength(5);
  });

  test("a flood becomes one line a second, however many messages it has", () => {
    using log = startLog();
    let count = 0;
    for (let step = 0; step < 10_000; step += 1) {
      log.add(judgement());
      clock.advance(1);
      count += written().reduce((sum, report) => sum + (report.type === "decision" ? (report.count ?? 1) : 0), 0);
    }
    expect(count).toBeGreaterThanOrEqual(9_000);
    log[Symbol.dispose]();
    count += written().reduce((sum, report) => sum + (report.type === "decision" ? (report.count ?? 1) : 0), 0);
    expect(count).toBe(10_000);
  });

  test("are told at the end, when they still wait", () => {
    const log = startLog();
    log.add(judgement());
    log.add(judgement());
    log[Symbol.dispose]();
    expect(written()).toHaveLength(2);
  });

  test("are shortened to what a report may hold", () => {
    using log = startLog();
    log.add(judgement({ rule: "r".repeat(5000), summary: "s".repeat(5000), because: "b".repeat(5000) }));
    expect(written()).toHaveLength(1);
  });

  test("wait, counted together, while nobody reads them", () => {
    let take: (() => void) | undefined;
    const lines: string[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        take = done;
      },
    });
    using log = startLog(new ReportWriter(slow));
    for (let step = 0; step < 1000; step += 1) {
      log.add(judgement());
      log.add(judgement({ rule: "default", decision: "block" }));
      clock.advance(10);
    }
    expect(lines).toHaveLength(1);
    expect(slow.writableLength).toBeLessThan(1000);
    take?.();
    clock.advance(1000);
    expect(JSON.parse(lines[1] ?? "")).toMatchObject({ count: expect.any(Number) });
  });
});

describe("the sign of life", () => {
  test("comes twice a second, with what was judged", () => {
    using _pulse = new Pulse({ reports: new ReportWriter(stream), clock, everyMs: 500 });
    clock.advance(499);
    expect(written()).toEqual([]);
    clock.advance(2001);
    expect(written()).toMatchObject(Array.from({ length: 5 }, () => ({ type: "pulse", judged: { in: 0, out: 0, blocked: 0 } })));
  });

  test("comes within a tenth of a second after input was judged, and no more often than that", () => {
    using pulse = new Pulse({ reports: new ReportWriter(stream), clock, everyMs: 500 });
    for (let step = 0; step < 50; step += 1) {
      pulse.count(judgement());
      pulse.count(judgement({ direction: "out", decision: "block" }));
      clock.advance(10);
    }
    const beats = written();
    expect(beats).toHaveLength(5);
    expect(beats[0]).toMatchObject({ judged: { in: 10, out: 10, blocked: 10 } });
  });

  test("counts as refused only what did not pass: not what rules on trial would block", () => {
    using pulse = new Pulse({ reports: new ReportWriter(stream), clock, everyMs: 500 });
    pulse.count(judgement({ decision: "block", mode: "shadow" }));
    pulse.count(judgement({ decision: "block", mode: "enforce" }));
    clock.advance(500);
    expect(written()[0]).toMatchObject({ judged: { in: 2, out: 0, blocked: 1 } });
  });

  test("does not come sooner for output, or for what came in without the user, which is no sign of the user", () => {
    using pulse = new Pulse({ reports: new ReportWriter(stream), clock, everyMs: 500 });
    pulse.count(judgement({ direction: "out" }));
    pulse.count(judgement({ isSign: false }));
    clock.advance(499);
    expect(written()).toEqual([]);
    pulse.count(judgement());
    clock.advance(1);
    expect(written()).toMatchObject([{ judged: { in: 2, out: 1 }, signs: 1 }]);
  });

  test("comes a last time at the end", () => {
    const pulse = new Pulse({ reports: new ReportWriter(stream), clock, everyMs: 500 });
    pulse.count(judgement());
    pulse[Symbol.dispose]();
    expect(written()).toMatchObject([{ judged: { in: 1 } }]);
    clock.advance(5000);
    expect(written()).toEqual([]);
  });
});

describe("the file of decisions", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hardshare-decisions-"));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const path = () => join(folder, "decisions");

  test("has every decision with its message, and is appended to", async () => {
    for (const speed of [1, 2]) {
      using file = DecisionsFile.open(path(), { clock, logger: silentLogger });
      const message = { method: "POST", body: { speed } };
      file.write(judgement({ message }));
      message.body.speed = 99; // what happens afterwards is not recorded
    }
    const lines = (await readFile(path(), "utf8")).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { message: { body: { speed: 1 } } },
      { message: { body: { speed: 2 } } },
    ]);
    expect((await stat(path())).mode & 0o777).toBe(0o600);
  });

  test("stops growing when it is full, with a word in the log", async () => {
    const warnings: unknown[] = [];
    const logger = { ...silentLogger, warn: (message: string, fields: unknown) => void warnings.push([message, fields]) };
    using file = DecisionsFile.open(path(), { clock, logger, maxBytes: 2000 });
    for (let step = 0; step < 100; step += 1) {
      file.write(judgement());
      clock.advance(100);
    }
    expect((await stat(path())).size).toBeLessThanOrEqual(2000);
    expect(warnings).toEqual([["decisions are recorded no longer", { file: path(), because: "it is full" }]]);
  });

  test("that can't be written is refused at the start", () => {
    expect(() => DecisionsFile.open(join(folder, "none", "decisions"), { clock, logger: silentLogger })).toThrow(
      expect.objectContaining({ code: "not_configured" }),
    );
  });
});
