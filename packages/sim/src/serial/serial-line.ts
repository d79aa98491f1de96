import { once } from "node:events";
import { type Clock, type Logger, pause } from "@hardshare/runtime";
import { type LineProtocol, MAX_LINE_BYTES } from "./line-protocol.ts";
import { LineSplitter } from "./line-splitter.ts";
import { openPseudoTerminal, type PseudoTerminal } from "./pseudo-terminal.ts";

/** Wait before the terminal is made again, so that one that fails at once does not spin. */
const RESTART_DELAY_MS = 500;

interface SerialLineOptions {
  /** Path of the device file. */
  readonly link: string;
  readonly protocol: LineProtocol;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The robot's serial line: a device file at `link` that speaks the line protocol, for as long as the robot lives. */
export class SerialLine implements AsyncDisposable {
  readonly #options: SerialLineOptions;
  readonly #closing = new AbortController();
  #terminal: PseudoTerminal;
  readonly #kept: Promise<void>;

  private constructor(options: SerialLineOptions, terminal: PseudoTerminal) {
    this.#options = options;
    this.#terminal = terminal;
    this.#kept = this.#keep();
  }

  /**
   * Resolves when the device file can be opened.
   * @throws AppError see `openPseudoTerminal`
   */
  static async start(options: SerialLineOptions): Promise<SerialLine> {
    return new SerialLine(options, await openPseudoTerminal(options.link));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#terminal[Symbol.asyncDispose]();
    await this.#kept;
  }

  /** Serves one terminal after the other. */
  async #keep(): Promise<void> {
    const { link, clock, logger } = this.#options;
    const { signal } = this.#closing;
    for (;;) {
      await this.#serve();
      if (signal.aborted) return;
      logger.warn("the serial line has ended: it is made again", { link });
      do {
        await pause(clock, RESTART_DELAY_MS, signal);
      } while (!signal.aborted && !(await this.#reopen()));
      if (signal.aborted) return;
    }
  }

  async #reopen(): Promise<boolean> {
    const { link, logger } = this.#options;
    try {
      this.#terminal = await openPseudoTerminal(link);
      if (this.#closing.signal.aborted) await this.#terminal[Symbol.asyncDispose]();
      else logger.info("the serial line is back", { link });
      return true;
    } catch (error) {
      logger.error("the serial line could not be made again", { link, error });
      return false;
    }
  }

  /** Answers line by line until the terminal ends. A client that does not read its answers is not read either. */
  async #serve(): Promise<void> {
    const { input, output, ended } = this.#terminal;
    const { protocol } = this.#options;
    const splitter = new LineSplitter(MAX_LINE_BYTES);
    for await (const chunk of output as AsyncIterable<Buffer>) {
      for (const line of splitter.push(chunk)) {
        const answers = line === undefined ? protocol.answerTooLong() : protocol.answer(line);
        if (answers.length === 0) continue;
        const hasRoom = input.write(`${answers.join("\r\n")}\r\n`, "latin1");
        if (!hasRoom) await Promise.race([once(input, "drain"), ended]);
      }
    }
    await ended;
  }
}
