import { AppError } from "@hardshare/protocol";

/** Two outputs in one stream, as the docker-compatible API sends them: frames of 8 bytes of header (stream, 0, 0, 0, length) and data. */
const HEADER_BYTES = 8;

/**
 * Takes frames apart as they arrive; data is handed on at once, also of frames that are not yet complete, so that
 * nothing but a header is ever held back.
 */
export class Demultiplexer {
  readonly #onData: (chunk: Buffer, stream: "stdout" | "stderr") => void;
  #header = Buffer.alloc(0);
  #stream: "stdout" | "stderr" = "stdout";
  #rest = 0;

  constructor(onData: (chunk: Buffer, stream: "stdout" | "stderr") => void) {
    this.#onData = onData;
  }

  /** Throws `engine_failed` when the bytes are not such a stream. */
  push(chunk: Buffer): void {
    let bytes = chunk;
    while (bytes.length > 0) {
      if (this.#rest === 0) {
        bytes = this.#readHeader(bytes);
        continue;
      }
      const data = bytes.subarray(0, this.#rest);
      this.#rest -= data.length;
      bytes = bytes.subarray(data.length);
      this.#onData(data, this.#stream);
    }
  }

  #readHeader(bytes: Buffer): Buffer {
    const missing = HEADER_BYTES - this.#header.length;
    this.#header = Buffer.concat([this.#header, bytes.subarray(0, missing)]);
    if (this.#header.length === HEADER_BYTES) {
      const kind = this.#header[0] ?? 0;
      if (kind > 2 || this.#header.readUIntBE(1, 3) !== 0) {
        throw new AppError("engine_failed", "the container engine sent output in a form that is not understood");
      }
      this.#stream = kind === 2 ? "stderr" : "stdout";
      this.#rest = this.#header.readUInt32BE(4);
      this.#header = Buffer.alloc(0);
    }
    return bytes.subarray(missing);
  }
}
