import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { Deferred } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PseudoTerminal } from "./pseudo-terminal.ts";

let terminal: PseudoTerminal;
let came = "";
let closed = new Deferred();
let drained = new Deferred();
beforeEach(async () => {
  [came, closed, drained] = ["", new Deferred(), new Deferred()];
  terminal = await PseudoTerminal.open({
    onData: (bytes) => (came += bytes.toString("latin1")),
    onDrain: () => drained.resolve(),
    onClosed: () => closed.resolve(),
  });
});
afterEach(() => terminal[Symbol.asyncDispose]());

const open = () => openSync(terminal.path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
function read(fd: number): string {
  const buffer = Buffer.alloc(100_000);
  try {
    return buffer.toString("latin1", 0, readSync(fd, buffer));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "";
  }
}

test("it is known at any moment whether a program has the device file open", async () => {
  expect(terminal.isOpen).toBe(false);
  for (let round = 0; round < 3; round += 1) {
    const fd = open();
    expect(terminal.isOpen).toBe(true);
    closed = new Deferred();
    closeSync(fd);
    await closed.promise;
    expect(terminal.isOpen).toBe(false);
  }
});

test("what a program wrote before it closed the device file comes", async () => {
  const fd = open();
  writeSync(fd, "last words");
  closeSync(fd);
  await expect.poll(() => came).toBe("last words");
  expect(terminal.isOpen).toBe(false);
});

test("what a program did not read is not for the next one, also what was not yet taken", async () => {
  const first = open();
  expect(terminal.isOpen).toBe(true);
  terminal.write(Buffer.alloc(1_000_000, "x"));
  expect(terminal.isDrained).toBe(false);
  closeSync(first);
  await closed.promise;
  expect(terminal.isDrained).toBe(true);
  const next = open();
  expect(read(next)).toBe("EAGAIN");
  closeSync(next);
});

test("more than the kernel holds is written when there is room, while what comes is read all the same", async () => {
  const fd = open();
  expect(terminal.isOpen).toBe(true);
  terminal.write(Buffer.alloc(200_000, "y"));
  writeSync(fd, "both ways");
  await expect.poll(() => came).toBe("both ways");
  let count = 0;
  await expect.poll(() => (count += read(fd).replaceAll(/[^y]/g, "").length)).toBe(200_000);
  await drained.promise;
  closeSync(fd);
});
