/** Cuts a stream of bytes into lines, which CR, LF or CRLF end. Of a line that is too long nothing is kept. */
export class LineSplitter {
  readonly #maxBytes: number;
  #line = "";
  #isTooLong = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that these bytes complete; `undefined` stands for one that was too long. Empty lines are left out. */
  push(bytes: Buffer): (string | undefined)[] {
    const lines: (string | undefined)[] = [];
    for (const byte of bytes) {
      if (byte === 0x0a || byte === 0x0d) {
        if (this.#isTooLong) lines.push(undefined);
        else if (this.#line !== "") lines.push(this.#line);
        this.#line = "";
        this.#isTooLong = false;
      } else if (this.#line.length < this.#maxBytes) {
        this.#line += String.fromCharCode(byte);
      } else {
        this.#isTooLong = true;
      }
    }
    return lines;
  }
}
