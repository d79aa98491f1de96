import { isFaithfulNumber } from "./faithful-number.ts";
import { foldName } from "./fold-name.ts";

/** Deepest nesting of a JSON text that is judged. */
const MAX_DEPTH = 64;
/** A decimal number of so many digits is always the same again when the double nearest to it is written. */
const SURELY_FAITHFUL_DIGITS = 15;
/** Up to so many names of one object are compared one by one, which is faster than a set. */
const FEW_NAMES = 24;

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BLANK = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const CAPITAL_E = 0x45;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const SMALL_E = 0x65;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const FIRST_NOT_ASCII = 0x80;
/** Makes capital letters small; what else it makes the same is told apart by the second look. */
const SMALL_LETTER = 0x20;

/** What two parsers could read in two ways. */
export interface Ambiguity {
  readonly problem: string;
  readonly isTooDeep?: boolean;
}

/**
 * What two parsers could read in two ways in a text that may be JSON; of a text that is no JSON it may say anything but
 * that it is nested too deeply.
 */
export function findAmbiguity(text: string): Ambiguity | undefined {
  const quick = new Scan(text, true);
  const found = quick.run();
  return quick.isUnsure ? new Scan(text, false).run() : found;
}

/**
 * Looks at each token once. A quick look compares names by a hash, without making texts of them, and is unsure when two
 * hashes are the same, or a name is not plain ASCII.
 */
class Scan {
  isUnsure = false;
  readonly #text: string;
  readonly #isQuick: boolean;
  /** The names in each object around the place looked at; undefined for an array. */
  readonly #around: (Names | undefined)[] = [];
  #at = 0;
  /** Whether a string here may be a name: not after a colon, before the next comma or brace. */
  #mayBeName = false;
  /** The first backslash that is not before `#at`, or what was looked at last; -1 for none. */
  #backslash = 0;

  constructor(text: string, isQuick: boolean) {
    this.#text = text;
    this.#isQuick = isQuick;
  }

  run(): Ambiguity | undefined {
    const text = this.#text;
    while (this.#at < text.length && !this.isUnsure) {
      const code = text.charCodeAt(this.#at);
      if (code === QUOTE) {
        const problem = this.#string();
        if (problem !== undefined) return { problem };
      } else if ((code >= DIGIT_0 && code <= DIGIT_9) || code === MINUS) {
        const problem = this.#number();
        if (problem !== undefined) return { problem };
      } else {
        this.#at += 1;
        if (code === COLON) this.#mayBeName = false;
        else if (code === COMMA || code === OPEN_BRACE) this.#mayBeName = true;
        if (code === CLOSE_BRACE || code === CLOSE_BRACKET) this.#around.pop();
        else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
          if (this.#around.push(code === OPEN_BRACE ? new Names() : undefined) > MAX_DEPTH) {
            return { problem: `the JSON text is nested deeper than ${MAX_DEPTH} levels`, isTooDeep: true };
          }
        }
      }
    }
    return undefined;
  }

  #string(): string | undefined {
    const text = this.#text;
    const start = this.#at;
    if (!this.#mayBeName && this.#skipPlainValue()) return undefined;
    let hash = 0;
    let isPlain = true;
    let at = start + 1;
    for (; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) break;
      if (code === BACKSLASH) at += 1;
      if (code === BACKSLASH || code >= FIRST_NOT_ASCII) isPlain = false;
      hash = (Math.imul(hash, 31) + (code | SMALL_LETTER)) | 0;
    }
    this.#at = at + 1;
    const isName = this.#isBeforeColon();
    if (isPlain) {
      if (!isName) return undefined;
      return this.#name(this.#isQuick ? hash : undefined, () => text.slice(start + 1, at));
    }
    if (this.#isQuick && isName) {
      this.isUnsure = true;
      return undefined;
    }
    return this.#unusualString(text.slice(start, at + 1), isName);
  }

  /** Most texts hold no backslash: nothing in them can be read in two ways. */
  #skipPlainValue(): boolean {
    const end = this.#text.indexOf('"', this.#at + 1);
    if (end < 0) return false;
    if (this.#backslash >= 0 && this.#backslash < this.#at) this.#backslash = this.#text.indexOf("\\", this.#at);
    if (this.#backslash >= 0 && this.#backslash < end) return false;
    this.#at = end + 1;
    return true;
  }

  #unusualString(quoted: string, isName: boolean): string | undefined {
    let content: string;
    try {
      content = JSON.parse(quoted) as string;
    } catch {
      return undefined; // no JSON: told by who parses the whole
    }
    if (content.includes("\0")) return "a text in the JSON holds a NUL, at which some devices end it";
    if (/\p{Surrogate}/u.test(content)) return "a text in the JSON holds half a surrogate pair";
    return isName ? this.#name(undefined, () => content) : undefined;
  }

  #name(hash: number | undefined, name: () => string): string | undefined {
    const names = this.#around.at(-1);
    if (names === undefined || names.add(hash ?? foldName(name()))) return undefined;
    if (hash === undefined) return `the field ${JSON.stringify(name().slice(0, 40))} is given twice`;
    this.isUnsure = true;
    return undefined;
  }

  #isBeforeColon(): boolean {
    let code = this.#text.charCodeAt(this.#at);
    while (code === BLANK || code === LINE_FEED || code === CARRIAGE_RETURN || code === TAB) code = this.#text.charCodeAt((this.#at += 1));
    return code === COLON;
  }

  #number(): string | undefined {
    const text = this.#text;
    const start = this.#at;
    let at = start + 1;
    let isPlain = true;
    for (; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code >= DIGIT_0 && code <= DIGIT_9) continue;
      if (code === SMALL_E || code === CAPITAL_E || code === MINUS || code === PLUS) isPlain = false;
      else if (code !== POINT) break;
    }
    this.#at = at;
    if (isPlain && at - start <= SURELY_FAITHFUL_DIGITS) return undefined;
    const number = text.slice(start, at);
    return isFaithfulNumber(number) ? undefined : `the number ${number.slice(0, 40)} can't be kept as it is`;
  }
}

/** The names in one object, or their hashes. */
class Names {
  readonly #few: (number | string)[] = [];
  #many: Set<number | string> | undefined;

  /** @returns whether it was not there before */
  add(name: number | string): boolean {
    if (this.#many !== undefined) {
      const { size } = this.#many;
      return this.#many.add(name).size > size;
    }
    if (this.#few.includes(name)) return false;
    if (this.#few.push(name) > FEW_NAMES) this.#many = new Set(this.#few);
    return true;
  }
}
