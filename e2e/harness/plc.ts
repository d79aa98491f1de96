import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

const READ_REGISTERS = 3;
const WRITE_REGISTER = 6;
const HEAD_BYTES = 7;

/**
 * A programmable controller as far as Modbus/TCP goes: registers that are read (function 3) and written (function 6). It
 * keeps what it was told.
 */
export class Plc implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #registers = new Map<number, number>();
  readonly #writes: string[] = [];

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      let heard = Buffer.alloc(0);
      socket.on("data", (chunk: Buffer) => {
        heard = Buffer.concat([heard, chunk]);
        while (heard.length >= HEAD_BYTES && heard.length >= 6 + heard.readUInt16BE(4)) {
          const end = 6 + heard.readUInt16BE(4);
          socket.write(this.#answer(heard.subarray(0, end)));
          heard = heard.subarray(end);
        }
      });
    });
  }

  static async start(): Promise<Plc> {
    const plc = new Plc();
    await once(plc.#server.listen(0, "127.0.0.1"), "listening");
    return plc;
  }

  /** `host:port` at which it listens. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What was written, as `register=value`. */
  get ledger(): readonly string[] {
    return this.#writes;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #answer(request: Buffer): Buffer {
    const [code, register, value] = [request.readUInt8(7), request.readUInt16BE(8), request.readUInt16BE(10)];
    const head = Buffer.from(request.subarray(0, HEAD_BYTES));
    let rest: Buffer;
    if (code === READ_REGISTERS) {
      rest = Buffer.alloc(2 + 2 * value);
      rest.writeUInt8(code, 0);
      rest.writeUInt8(2 * value, 1);
      for (let index = 0; index < value; index += 1) rest.writeUInt16BE(this.#registers.get(register + index) ?? 0, 2 + 2 * index);
    } else if (code === WRITE_REGISTER) {
      this.#registers.set(register, value);
      this.#writes.push(`${register}=${value}`);
      rest = request.subarray(HEAD_BYTES);
    } else {
      rest = Buffer.from([code | 0x80, 1]); // an illegal function
    }
    head.writeUInt16BE(1 + rest.length, 4);
    return Buffer.concat([head, rest]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}
