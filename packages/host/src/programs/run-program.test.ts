import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock, systemClock, findLauncher } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { killLabelledProcesses } from "./labelled-processes.ts";
import { type ProgramPlace, programEnvironment } from "./program-place.ts";
import { runLifecycleProgram } from "./run-program.ts";

let folder: string;
let place: ProgramPlace;
let written: string;
const instance = { instanceId: crypto.randomUUID(), deploymentId: "d", user: "bob" };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-programs-"));
  place = {
    folder,
    env: programEnvironment({ PATH: process.env["PATH"], HARDSHARE_LIFELINE: "1" }, instance, "init"),
    launcher: await findLauncher(),
  };
  written = "";
});
afterEach(async () => {
  await killLabelledProcesses(instance.instanceId, systemClock);
  await rm(folder, { recursive: true, force: true });
});

async function script(name: string, body: string): Promise<string> {
  await writeFile(join(folder, name), `#!/bin/sh\n${body}\n`);
  await chmod(join(folder, name), 0o755);
  return `./${name}`;
}

function run(program: { run: string; timeout?: number }, signal?: AbortSignal) {
  return runLifecycleProgram(program, { place, clock: systemClock, signal, onOutput: (text) => (written += text) });
}

/** Makes a named pipe beside the contract; settles when all programs that wrote to it have closed it, or are gone. */
function fifo(name: string): Promise<string> {
  execFileSync("mkfifo", [join(folder, name)]);
  return readFile(join(folder, name), "utf8");
}

/** Whether a process runs; one that has ended but was not yet waited for does not. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => ") Z");
  return !/\) [ZX]/.test(stat);
}

test("a program runs in the contract's folder with its arguments, without a shell, and knows its instance", async () => {
  const name = await script(
    "say.sh",
    'pwd; echo "$1|$2|$HARDSHARE_INSTANCE|$HARDSHARE_EVENT|$HARDSHARE_USER|$HARDSHARE_LIFELINE"; echo two >&2',
  );
  expect(await run({ run: `${name}  a;b   $HOME` })).toEqual({ isOk: true });
  expect(written).toContain(`${folder}\n`);
  expect(written).toContain(`a;b|$HOME|${instance.instanceId}|init|bob|\n`);
  expect(written).toContain("two\n");
});

test("a program that fails says how, with its last lines", async () => {
  const name = await script("fail.sh", "echo going; echo broken >&2; exit 3");
  expect(await run({ run: name })).toEqual({
    isOk: false,
    message: "./fail.sh ended with exit code 3",
    log: expect.stringContaining("broken"),
  });
  const killed = await script("killed.sh", "kill -KILL $$");
  expect(await run({ run: killed })).toMatchObject({ isOk: false, message: "./killed.sh was killed by SIGKILL" });
});

test("a program that is missing or not executable is an outcome that says what to do", async () => {
  expect(await run({ run: "./nothing.sh" })).toMatchObject({ isOk: false, message: expect.stringContaining("is not there") });
  await writeFile(join(folder, "plain.sh"), "#!/bin/sh\n");
  expect(await run({ run: "./plain.sh" })).toMatchObject({ isOk: false, message: expect.stringContaining("chmod +x") });
  place = { ...place, folder: join(folder, "moved") };
  expect(await run({ run: "true" })).toMatchObject({
    isOk: false,
    message: expect.stringContaining(`folder ${folder}/moved is not there`),
  });
});

test.each([
  ["is missing on the PATH", "no-such-program", undefined, "there is no program no-such-program on the PATH"],
  ["lies beside the contract, without ./", "here.sh", "#!/bin/sh\n", "is written ./here.sh"],
  ["is a folder", "./", undefined, "is a folder, not a program"],
  ["names no interpreter", "./plain.py", "print('hello')\n", "does not say which program runs it"],
  ["is empty", "./empty.sh", "", "does not say which program runs it"],
  ["names an interpreter that is not there", "./far.py", "#!/opt/python9 -u\n", "names /opt/python9, which is not there"],
  ["was saved on Windows", "./win.sh", "#!/bin/sh\r\ntrue\r\n", "the lines of"],
])("a program that %s is an outcome that says so", async (_what, command, content, says) => {
  if (content !== undefined) await writeFile(join(folder, command), content, { mode: 0o755 });
  const outcome = { isOk: false, message: expect.stringContaining(says), log: "" };
  expect(await run({ run: command })).toEqual(outcome);
});

test("a program that hangs and ignores SIGTERM is killed after its time", async () => {
  const name = await script("hang.sh", "trap '' TERM; while :; do sleep 0.05; done");
  expect(await run({ run: name, timeout: 0.2 })).toMatchObject({ isOk: false, message: expect.stringContaining("took longer than") });
});

test("a program that cannot be killed, as one that took root's rights, is an outcome that says so", async () => {
  const started = fifo("started");
  const name = await script("root.sh", "echo begun > started; exec sleep 60");
  const clock = new ManualClock();
  const result = runLifecycleProgram({ run: name, timeout: 1 }, { place, clock, onOutput: () => {} });
  await started;
  const kill = vi.spyOn(process, "kill").mockImplementation(() => {
    throw Object.assign(new Error("operation not permitted"), { code: "EPERM" });
  });
  try {
    clock.advance(10_000);
    expect(await result).toMatchObject({ isOk: false, isLeft: true, message: expect.stringMatching(/process \d+ cannot be killed/) });
  } finally {
    kill.mockRestore();
  }
});

test("a program that is cancelled while it is looked for is not begun: whoever cancels kills only what runs by then", async () => {
  const name = await script("slow.sh", "sleep 60");
  const cancel = new AbortController();
  let isBegun = false;
  const watched: ProgramPlace = {
    ...place,
    get launcher() {
      isBegun = true;
      return place.launcher;
    },
  };
  const result = runLifecycleProgram({ run: name }, { place: watched, clock: systemClock, signal: cancel.signal, onOutput: () => {} });
  cancel.abort();
  await expect(result).rejects.toMatchObject({ code: "cancelled" });
  expect(isBegun).toBe(false);
});

test("cancelling kills the whole process group of a running program", async () => {
  const gone = fifo("gone");
  const name = await script("tree.sh", "sleep 60 > gone & echo ready; wait");
  const cancel = new AbortController();
  const result = runLifecycleProgram({ run: name }, { place, clock: systemClock, signal: cancel.signal, onOutput: () => cancel.abort() });
  await expect(result).rejects.toMatchObject({ code: "cancelled" });
  await gone;
});

test("children that a program leaves behind are killed with it, also those in a group of their own, but not those of other events", async () => {
  const gone = fifo("gone");
  const name = await script(
    "leave.sh",
    `sleep 60 > gone & setsid sh -c 'echo $$ > far; exec sleep 61' < /dev/null &
    HARDSHARE_EVENT=service setsid sh -c 'echo $$ > other; exec sleep 62' < /dev/null & while [ ! -s far ] || [ ! -s other ]; do :; done`,
  );
  expect(await run({ run: name })).toEqual({ isOk: true });
  await gone;
  const pidIn = async (file: string) => Number(await readFile(join(folder, file), "utf8"));
  expect([await isAlive(await pidIn("far")), await isAlive(await pidIn("other"))]).toEqual([false, true]);
  await killLabelledProcesses(instance.instanceId, systemClock);
  expect(await isAlive(await pidIn("other"))).toBe(false);
});

test("what a daemon makes of itself, by children of children that end, is found", async () => {
  // Each is another program in a session of its own, and ends when it has started the next.
  const name = await script("hop.sh", 'n=${1:-0}; if [ "$n" -lt 3 ]; then setsid ./hop.sh $((n + 1)) & else exec sleep 63; fi');
  for (let round = 0; round < 10; round += 1) {
    expect(await run({ run: name })).toEqual({ isOk: true });
    const look = `grep -lsz "HARDSHARE_INSTANCE=${instance.instanceId}" /proc/[0-9]*/environ || true`;
    expect(execFileSync("sh", ["-c", look], { encoding: "utf8" })).toBe("");
  }
});

test("a flood of output is bounded, and what is dropped is said", async () => {
  const name = await script("flood.sh", "head -c 3000000 /dev/zero | tr '\\0' x; printf 'a\\0b' >&2");
  expect(await run({ run: name })).toEqual({ isOk: true });
  expect(written.length).toBeLessThan(270_000);
  expect(written).toMatch(/… \d+ more characters of output were dropped/);
  expect(written).not.toContain("\0");
});
