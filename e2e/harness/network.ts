import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";

/** A TCP server on every address of this machine, IPv4 and IPv6, on a free high port. */
export class OpenPort implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  static async create(): Promise<OpenPort> {
    // Without a host Node listens on `::`, which takes IPv4 too, and on 0.0.0.0 where there is no IPv6.
    const server = createServer((socket) => socket.on("error", () => {}).end());
    server.listen(0);
    await once(server, "listening");
    return new OpenPort(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Every address of this machine that can be written without naming an interface, its loopback included. */
export function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ address, family }) => family === "IPv4" || !address.startsWith("fe80:")).map(({ address }) => address);
}

/** A port that nothing listens on now. */
export async function findFreePort(): Promise<number> {
  await using open = await OpenPort.create();
  return open.port;
}

/** What a TCP connection meets: `open`, or the error's code (`ECONNREFUSED`, …). */
export function knock(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 5000 });
    socket.once("connect", () => {
      socket.destroy();
      resolve("open");
    });
    socket.once("timeout", () => {
      socket.destroy();
      resolve("ETIMEDOUT");
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
