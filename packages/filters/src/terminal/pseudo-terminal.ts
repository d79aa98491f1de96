import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";
import { type LinuxOpenOptions, LinuxPortBinding } from "@serialport/bindings-cpp";
import { AppError } from "@hardshare/protocol";
import { TerminalFile } from "./terminal-file.ts";

/** `ioctl` that unlocks the other end (TIOCSPTLCK); the same on x86, ARM and RISC-V. */
const UNLOCK = "0x40045431";

export interface PseudoTerminalEvents {
  /** A program that has the device file open wrote this. */
  readonly onData: (bytes: Buffer) => void;
  /** What was left of a write is taken. */
  readonly onDrain: () => void;
  /** The last program that had the device file open closed it; what it was not yet handed is dropped. */
  readonly onClosed: () => void;
}

/**
 * The inner end of a pseudo-terminal, whose outer end is a device file that ordinary programs open as they open a serial
 * device. It lives for as long as this process holds it, whoever opens and closes the device file.
 */
export class PseudoTerminal implements AsyncDisposable {
  /** Path of the device file. */
  readonly path: string;
  readonly #port: LinuxPortBinding;
  readonly #file: TerminalFile;
  /** Held open while no program has the device file open, so that reading here does not fail. */
  #held: number | undefined;

  private constructor(path: string, master: number, events: PseudoTerminalEvents) {
    this.path = path;
    this.#held = openSlave(path);
    this.#port = new LinuxPortBinding(master, {} as Required<LinuxOpenOptions>);
    this.#file = new TerminalFile(master, this.#port, {
      onData: (bytes) => {
        this.#letGo();
        events.onData(bytes);
      },
      onDrain: () => events.onDrain(),
      onHangUp: () => {
        this.#onLastClosed();
        events.onClosed();
      },
    });
    this.#file.resume();
  }

  /** Makes one: raw, without echo. @throws AppError `program_failed` */
  static async open(events: PseudoTerminalEvents): Promise<PseudoTerminal> {
    const master = openSync("/dev/ptmx", constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    try {
      const number = /^tty-index:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${master}`, "utf8"))?.[1];
      if (number === undefined) throw new AppError("program_failed", "the kernel does not tell the number of a pseudo-terminal");
      const path = `/dev/pts/${number}`;
      // Node has no ioctl. (Not as standard input: Node would have it block.)
      await call("socat", ["-u", "OPEN:/dev/null", `FD:3,ioctl-intp=${UNLOCK}:0`], master);
      await call("stty", ["-F", path, "raw", "-echo"], "ignore");
      return new PseudoTerminal(path, master, events);
    } catch (error) {
      closeSync(master);
      throw error;
    }
  }

  /** Whether a program has the device file open: what is written while none has is not for anybody. */
  get isOpen(): boolean {
    if (this.#held === undefined) return true;
    this.#letGo();
    if (!this.#file.isHungUp()) return true;
    this.#hold();
    return false;
  }

  /** Whether all that was written is taken. */
  get isDrained(): boolean {
    return this.#file.isDrained;
  }

  /** Writes to the program that has the device file open; only when drained. */
  write(bytes: Buffer): void {
    this.#file.write(bytes);
  }

  /** Has all told that programs wrote until now, also while paused. */
  readAll(): void {
    this.#file.readAll(); // that nobody is there any more is told in its turn
  }

  pause(): void {
    this.#file.pause();
  }

  resume(): void {
    this.#file.resume();
  }

  /** From now on the device file answers with an error. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#file.close();
    this.#letGo();
    await this.#port.close();
  }

  #onLastClosed(): void {
    this.#hold();
    this.#file.drop();
    this.#file.resume();
  }

  #hold(): void {
    this.#held = openSlave(this.path);
    drain(this.#held);
  }

  #letGo(): void {
    if (this.#held !== undefined) closeSync(this.#held);
    this.#held = undefined;
  }
}

function openSlave(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
}

/** What the last program did not read is not for the next one. */
function drain(slave: number): void {
  const buffer = Buffer.allocUnsafe(64 * 1024);
  try {
    while (readSync(slave, buffer) > 0);
  } catch {
    // EAGAIN: nothing is left.
  }
}

async function call(command: string, args: readonly string[], inherited: number | "ignore"): Promise<void> {
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe", inherited] });
  let words = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (words += text));
  const [code] = (await once(child, "close").catch((cause: unknown) => {
    throw new AppError("program_failed", `${command} cannot be started: ${(cause as Error).message}; it is needed for a device file`, {
      cause,
    });
  })) as [number | null];
  if (code !== 0) throw new AppError("program_failed", `${command} could not prepare a pseudo-terminal: ${words.trim()}`);
}
