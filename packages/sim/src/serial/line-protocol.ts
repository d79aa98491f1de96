import { ARM_MAX_FEED, ARM_REACH_MM } from "../body/arm.ts";
import type { RobotBody } from "../body/robot-body.ts";
import type { Ledger } from "../ledger.ts";

/**
 * What the robot's serial line speaks: lines of ASCII in the manner of G-code, which move the arm. CR, LF and CRLF end a
 * line; letters may be small; a line without content is ignored.
 *
 * | line | does | answer |
 * |---|---|---|
 * | `G0 X10 Y20` | moves the arm there, as fast as it can; an axis left out stays | `ok` |
 * | `G1 X10 Y20 F600` | moves it in a straight line, F millimetres per minute (else as the last time) | `ok` |
 * | `M114` | – | `X:10.00 Y:20.00`, `ok` |
 * | `M112` | stops arm and base at once | `ok` |
 * | `?` | – | `<Idle|X:10.00,Y:20.00|F:600>` or `<Run|…>` |
 *
 * Anything else is answered `error:` and what was expected. A move begins when its line has come, also during another.
 */
export class LineProtocol {
  readonly #body: RobotBody;
  readonly #ledger: Ledger;
  #feed = 1000;

  constructor(body: RobotBody, ledger: Ledger) {
    this.#body = body;
    this.#ledger = ledger;
  }

  /** Takes one line, without its end, and returns the lines to answer. Both directions are written to the ledger. */
  answer(line: string): string[] {
    const words = line.trim().toUpperCase().split(/\s+/);
    const [command = "", ...rest] = words;
    if (command === "") return [];
    const parameters = readParameters(rest);
    this.#ledger.record({
      channel: "serial",
      kind: command === "?" || command === "M114" ? "read" : "act",
      action: command,
      arguments: parameters instanceof Map ? Object.fromEntries(parameters) : { line },
    });
    const answers = parameters instanceof Map ? this.#obey(command, parameters) : [`error:${parameters.problem}`];
    for (const answer of answers) this.#ledger.record({ channel: "serial", kind: "answer", action: answer });
    return answers;
  }

  /** A line that was too long to be kept. */
  answerTooLong(): string[] {
    this.#ledger.record({ channel: "serial", kind: "act", action: "too long" });
    const answer = `error:expected at most ${MAX_LINE_BYTES} characters in a line`;
    this.#ledger.record({ channel: "serial", kind: "answer", action: answer });
    return [answer];
  }

  #obey(command: string, parameters: ReadonlyMap<string, number>): string[] {
    switch (command) {
      case "G0":
      case "G1":
        return [this.#move(command, parameters) ?? "ok"];
      case "M114": {
        const { x, y } = this.#body.arm.position;
        return [`X:${x.toFixed(2)} Y:${y.toFixed(2)}`, "ok"];
      }
      case "M112":
        this.#body.stop();
        return ["ok"];
      case "?": {
        const { position, isMoving, feed } = this.#body.arm;
        return [`<${isMoving ? "Run" : "Idle"}|X:${position.x.toFixed(2)},Y:${position.y.toFixed(2)}|F:${isMoving ? feed : 0}>`];
      }
      default:
        return [`error:expected G0, G1, M114, M112 or ?, not ${command}`];
    }
  }

  /** Moves the arm, or returns the error. */
  #move(command: "G0" | "G1", parameters: ReadonlyMap<string, number>): string | undefined {
    const { position } = this.#body.arm;
    const to = { x: parameters.get("X") ?? position.x, y: parameters.get("Y") ?? position.y };
    for (const letter of parameters.keys()) {
      if (!"XYF".includes(letter)) return `error:${letter}: expected only X, Y and F`;
    }
    if (!parameters.has("X") && !parameters.has("Y")) return "error:expected X, Y or both";
    for (const [letter, value] of [["X", to.x] as const, ["Y", to.y] as const]) {
      if (value < 0 || value > ARM_REACH_MM) return `error:${letter}: expected 0 to ${ARM_REACH_MM}`;
    }
    const feed = parameters.get("F");
    if (feed !== undefined) {
      if (feed <= 0 || feed > ARM_MAX_FEED) return `error:F: expected more than 0, at most ${ARM_MAX_FEED}`;
      this.#feed = feed;
    }
    this.#body.moveArm(to, command === "G0" ? ARM_MAX_FEED : this.#feed);
    return undefined;
  }
}

/** Longest line; what is longer is dropped up to its end and answered with an error. */
export const MAX_LINE_BYTES = 256;

function readParameters(words: readonly string[]): Map<string, number> | { problem: string } {
  const parameters = new Map<string, number>();
  for (const word of words) {
    const match = /^([A-Z])([+-]?\d{1,9}(?:\.\d{0,9})?)$/.exec(word);
    const [, letter, value] = match ?? [];
    if (letter === undefined || value === undefined) return { problem: `${word}: expected a letter and a number, such as X10.5` };
    if (parameters.has(letter)) return { problem: `${letter}: expected once` };
    parameters.set(letter, Number(value));
  }
  return parameters;
}
