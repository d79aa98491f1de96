import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expectSuccess } from "./commands.ts";

const SOURCE = fileURLToPath(new URL("../firmware/machine.c", import.meta.url));

/** Real firmware (e2e/firmware/machine.c) on a simulated Arduino Uno, whose serial port is a device file of this computer. */
export class Machine implements AsyncDisposable {
  /** Path of the device file. */
  readonly path: string;
  readonly #process: ChildProcess;
  readonly #ledger: string;

  private constructor(path: string, process: ChildProcess, ledger: string) {
    this.path = path;
    this.#process = process;
    this.#ledger = ledger;
  }

  /** Builds the firmware and switches the machine on. @param folder for what is built, and the ledger */
  static async start(folder: string): Promise<Machine> {
    const [program, ledger] = [join(folder, "machine.elf"), join(folder, "machine.log")];
    await expectSuccess("avr-gcc", ["-mmcu=atmega328p", "-Os", "-Wall", "-Werror", "-o", program, SOURCE]);
    const board = ["-M", "uno", "-bios", program, "-nographic", "-monitor", "none"];
    const uart = ["-chardev", `pty,id=uart,logfile=${ledger}`, "-serial", "chardev:uart"];
    // The firmware waits by asking again and again, as firmware does: it is not to take the processor from others.
    const child = spawn("nice", ["setpriv", "--pdeathsig", "KILL", "qemu-system-avr", ...board, ...uart], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let words = "";
    child.stderr.on("data", (chunk: Buffer) => (words += chunk.toString()));
    const early = once(child, "exit").then(() => {
      throw new Error(`the machine did not start: ${words}`);
    });
    early.catch(() => {});
    for await (const line of createInterface(child.stdout)) {
      const path = /redirected to (\/dev\/pts\/\d+)/.exec(line)?.[1];
      if (path !== undefined) return new Machine(path, child, ledger);
    }
    return early;
  }

  /** The lines that it ran, and what it did at once, as it told them itself. */
  async ledger(): Promise<string[]> {
    const said = (await readFile(this.#ledger, "latin1")).split("\r\n");
    return said.filter((line) => /^ran: |^hold$/.test(line)).map((line) => line.replace("ran: ", ""));
  }

  /** Process id of the one program that has the device file open. */
  async opener(): Promise<number> {
    const found: number[] = [];
    for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
      const files = await readdir(`/proc/${pid}/fd`).catch((): string[] => []);
      const paths = await Promise.all(files.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
      if (paths.includes(this.path)) found.push(Number(pid));
    }
    if (found.length !== 1) throw new Error(`${found.length} programs have ${this.path} open`);
    return found[0] ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill("SIGKILL");
    await once(this.#process, "exit");
  }
}
