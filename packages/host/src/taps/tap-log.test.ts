import { mkdtemp, mkdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readTaps } from "./read-taps.ts";
import { makeTapFolder, tappedInstances, tapFolder } from "./tap-folders.ts";
import { TapLog } from "./tap-log.ts";
import type { TapRecord } from "./tap-record.ts";

let state: string;
let base: string;
const failures: string[] = [];
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "hardshare-tap-"));
  base = join(await makeTapFolder(state, "i"), "ARM");
  failures.length = 0;
});
afterEach(() => rm(state, { recursive: true, force: true }));

const openLog = (maxFileBytes?: number) =>
  TapLog.open({
    base,
    clock: systemClock,
    onFailure: (message) => failures.push(message),
    ...(maxFileBytes === undefined ? {} : { maxFileBytes }),
  });
async function read(): Promise<TapRecord[]> {
  const records: TapRecord[] = [];
  for await (const { record } of readTaps({ state, instanceId: "i" })) records.push(record);
  return records;
}
const bytesOf = ({ text, base64 }: TapRecord) => (text === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(text));

test("every byte is read again as it was, with its connection and direction, also what a daemon before wrote", async () => {
  const chunks = [Buffer.from("G1 X1\n"), Buffer.from("\ufeffü"), Buffer.from("\0\x18!"), systemRandom.bytes(300), Buffer.from([0xc3])].map(
    (chunk) => Buffer.from(chunk),
  );
  for (const [index, chunk] of chunks.entries()) {
    await using log = await openLog();
    log.add(index % 2 === 0 ? "in" : "out", index + 1, chunk);
  }
  const records = await read();
  expect(records.map(bytesOf)).toEqual(chunks);
  expect(records.map(({ direction, connection }) => `${direction} ${connection}`)).toEqual(["in 1", "out 2", "in 3", "out 4", "in 5"]);
});

test("the log is for its owner alone, and never longer than its two files", async () => {
  {
    await using log = await openLog(10_000);
    for (let n = 0; n < 1000; n++) {
      log.add("in", 1, Buffer.from(`line ${n}\n`));
      if (n % 20 === 0) await new Promise(setImmediate);
    }
  }
  const sizes = await Promise.all([".tap", ".older.tap"].map((ending) => stat(base + ending)));
  for (const { size, mode } of sizes) {
    expect(size).toBeLessThanOrEqual(100_000);
    expect(mode & 0o777).toBe(0o600);
  }
  expect((await read()).at(-1)?.text).toBe("line 999\n");
});

test("what the disk cannot take in time is left out and said to be missing, and nothing waits for it", async () => {
  {
    await using log = await openLog();
    for (let n = 0; n < 20; n++) log.add("in", 1, Buffer.alloc(1024 * 1024, "x"));
    await log.settled;
    log.add("out", 1, Buffer.from("later"));
  }
  const records = await read();
  const missing = records.reduce((sum, record) => sum + (record.missing ?? 0), 0);
  expect(missing).toBeGreaterThan(0);
  expect(records.reduce((sum, record) => sum + bytesOf(record).length, 0) + missing).toBe(20 * 1024 * 1024 + 5);
});

test("a log that cannot be written ends with one word, and what it copies goes on", async () => {
  await using log = await openLog(10);
  await rm(tapFolder(state, "i"), { recursive: true });
  log.add("in", 1, Buffer.from("the first fills it"));
  log.add("in", 1, Buffer.from("more"));
  await log.settled;
  log.add("in", 1, Buffer.from("this one makes it rotate"));
  await log.settled;
  log.add("in", 1, Buffer.from("no more"));
  expect(failures).toEqual([expect.stringContaining("the tap's log is written no longer: ENOENT")]);
});

test("a torn last line is left out", async () => {
  {
    await using log = await openLog();
    log.add("in", 1, Buffer.from("whole"));
  }
  const { appendFile } = await import("node:fs/promises");
  await appendFile(`${base}.tap`, '{"at":"2026');
  expect((await read()).map(({ text }) => text)).toEqual(["whole"]);
});

test("the taps of the last ten instances are kept", async () => {
  for (let n = 0; n < 12; n++) await makeTapFolder(state, `instance-${n}`);
  await mkdir(tapFolder(state, "instance-11"), { recursive: true });
  const kept = await tappedInstances(state);
  expect(kept).toHaveLength(10);
  expect(kept[0]).toBe("instance-11");
  expect(kept).not.toContain("i");
  await expect(readFile(join(tapFolder(state, "i"), "ARM.tap"))).rejects.toThrow();
});

test("a service without a tap is told from those that have one", async () => {
  await (await openLog())[Symbol.asyncDispose]();
  const reading = readTaps({ state, instanceId: "i", service: "ROBOT" }).next();
  await expect(reading).rejects.toMatchObject({ code: "not_found", message: expect.stringContaining("it has ARM") });
});
