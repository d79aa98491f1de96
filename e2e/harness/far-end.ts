import { once } from "node:events";
import { chmod, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";

/** A stream through the tunnel, with both of its ends in the test's hands. */
export interface Ends {
  near: Duplex;
  far: Socket;
}

const TAG_BYTES = 8;

/** What a tunnel leads to: a server of the test's own, so that the test sees both ends of a stream. */
export class FarEnd implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #awaited = new Map<string, (far: Socket) => void>();
  #count = 0;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket: Socket) => {
      socket.on("error", () => {});
      const read = () => {
        const tag = socket.read(TAG_BYTES) as Buffer | null;
        if (tag === null) return;
        socket.off("readable", read);
        this.#awaited.get(tag.toString())?.(socket);
      };
      socket.on("readable", read);
    });
  }

  static async listen(): Promise<FarEnd> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return new FarEnd(server);
  }

  /** Writes the program of a service: it says where this end listens. @returns the command */
  async writeProgram(path: string): Promise<string> {
    await writeFile(path, `#!/bin/sh\necho 127.0.0.1:${this.port}\nexec sleep infinity\n`);
    await chmod(path, 0o755);
    return path;
  }

  /** The other end of a stream that begins at `near`. */
  async meet(near: Duplex): Promise<Ends> {
    const tag = String(this.#count++).padStart(TAG_BYTES, "0");
    const met = new Promise<Socket>((resolve) => this.#awaited.set(tag, resolve));
    near.on("error", () => {});
    near.write(tag);
    const far = await met;
    this.#awaited.delete(tag);
    return { near, far };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
  }
}
