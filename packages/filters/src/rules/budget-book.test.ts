import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ManualClock, systemClock } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openBudgetBook } from "./budget-book.ts";

let folder: string;
let file: string;
let clock: ManualClock;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-budgets-"));
  file = join(folder, "budgets");
  clock = new ManualClock();
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = () => openBudgetBook({ file, clock });
const usedOf = (name: string, windowMs?: number) => {
  using book = open();
  return book.account(name, windowMs).used(windowMs);
};

test("what was used is known to the next process, which knows that it is not the first", () => {
  {
    using book = open();
    expect(book.isContinued).toBe(false);
    book.account("POST /a", undefined).spend(2);
    book.account("POST /a", undefined).spend(0.5);
    book.account('POST /b "\n', undefined).spend(7);
  }
  using book = open();
  expect(book.isContinued).toBe(true);
  expect(book.account("POST /a", undefined).used(undefined)).toBe(2.5);
  expect(book.account('POST /b "\n', undefined).used(undefined)).toBe(7);
  expect(book.account("POST /c", undefined).used(undefined)).toBe(0);
});

test("a process that used nothing leaves a file by which the next one knows of it", () => {
  open()[Symbol.dispose]();
  using book = open();
  expect(book.isContinued).toBe(true);
});

test("what an earlier process used counts for as long as what this one uses", () => {
  {
    using book = open();
    book.account("a", 1000).spend(1);
  }
  clock.advance(999);
  expect(usedOf("a", 1000)).toBe(1);
  clock.advance(1);
  expect(usedOf("a", 1000)).toBe(0);
});

test("a last line that is torn was never acknowledged: it is cut off, and the file goes on", async () => {
  {
    using book = open();
    book.account("a", undefined).spend(1);
  }
  const whole = await readFile(file, "utf8");
  for (const torn of ['["a",17', '["a",1700000000000,5]', "\0\0\0"]) {
    await appendFile(file, torn);
    {
      using book = open();
      expect(book.account("a", undefined).used(undefined)).toBe(1);
      book.account("a", undefined).spend(2);
    }
    expect(usedOf("a")).toBe(3);
    await truncate(file, Buffer.byteLength(whole));
  }
});

test("a file of which only the beginning of the first line was written is begun again", async () => {
  await writeFile(file, "hardshare bud");
  using book = open();
  expect(book.isContinued).toBe(false);
  book.account("a", undefined).spend(1);
  expect(await readFile(file, "utf8")).toMatch(/^hardshare budgets 1\n\["a",\d+,1\]\n$/);
});

test.each([
  ["rules: []\n", 1],
  ["hardshare budgets 2\n", 1],
  ["x", 1],
  ['hardshare budgets 1\n["a",1,1]\nrules: []\n', 3],
  ['hardshare budgets 1\n["a",1,-1]\n', 2],
])("a file that is none of ours is refused and stays as it is: %j", async (text, line) => {
  await writeFile(file, text);
  expect(open).toThrow(expect.objectContaining({ code: "config_invalid", message: expect.stringContaining(`budgets:${line}: expected`) }));
  expect(await readFile(file, "utf8")).toBe(text);
});

test("a file that can't be made is refused with the reason", () => {
  expect(() => openBudgetBook({ file: join(folder, "none", "budgets"), clock })).toThrow(
    expect.objectContaining({ code: "config_invalid", message: expect.stringContaining("cannot keep budgets in") }),
  );
});

test("a long file is written anew with what still counts", async () => {
  {
    using book = open();
    const account = book.account("a".repeat(500), 1000);
    const others = book.account("b", undefined);
    others.spend(3);
    for (let count = 0; count < 2000; count += 1) {
      clock.advance(10);
      account.spend(1);
      account.used(1000);
    }
    expect(account.used(1000)).toBe(100);
    expect((await stat(file)).size).toBeLessThan(300 * 1024);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  }
  expect(usedOf("b")).toBe(3);
  expect(usedOf("a".repeat(500), 1000)).toBe(100);
});

test.skipIf(process.geteuid?.() !== 0)("with a full disk nothing can be used, and what was used stays known", async () => {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
  try {
    const filler = join(folder, "filler");
    {
      using book = open();
      const account = book.account("a".repeat(3000), undefined);
      account.spend(1);
      await writeFile(filler, Buffer.alloc(128 * 1024)).catch(() => {});
      for (let count = 0; count < 5; count += 1) expect(() => account.spend(1)).toThrow("ENOSPC");
      expect(account.used(undefined)).toBe(1);
      await rm(filler);
      account.spend(2);
      expect(account.used(undefined)).toBe(3);
    }
    expect(usedOf("a".repeat(3000))).toBe(3);
  } finally {
    execFileSync("umount", [folder]);
  }
});

/** Uses up budgets as fast as it can, and tells each only after it was written down. */
const SPENDER = `
  const { openBudgetBook } = await import(process.argv[1]);
  const { writeSync } = await import("node:fs");
  const clock = { now: () => Date.now(), monotonicMs: () => performance.now(), after() { throw new Error("not used"); } };
  const account = openBudgetBook({ file: process.argv[2], clock }).account("a", undefined);
  for (;;) { account.spend(1); writeSync(1, "x"); }`;

test("a process that is killed at any moment has written down all that passed", async () => {
  let passed = 0;
  for (let round = 0; round < 5; round += 1) {
    const module = fileURLToPath(new URL("budget-book.ts", import.meta.url));
    const child = spawn(
      process.execPath,
      ["--import", "tsx", "--conditions=@hardshare/source", "--input-type=module", "-e", SPENDER, "--", module, file],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let told = 0;
    child.stdout.on("data", (chunk: Buffer) => {
      told += chunk.length;
      if (told > 20 + round) child.kill("SIGKILL");
    });
    await once(child, "close");
    passed += told;
    using book = openBudgetBook({ file, clock: systemClock });
    // The last one may have been written down and not told: counted, though it did not pass.
    const used = book.account("a", undefined).used(undefined);
    expect(used).toBeGreaterThanOrEqual(passed);
    expect(used).toBeLessThanOrEqual(passed + round + 1);
  }
});
