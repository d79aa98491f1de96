import { randomInt } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { isTestAddress } from "./test-network.ts";

/** A TCP server on every address of this machine, IPv4 and IPv6, on a free high port. */
export class OpenPort implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** @param port any free one unless told otherwise */
  static async create(port = 0): Promise<OpenPort> {
    // Without a host Node listens on `::`, which takes IPv4 too, and on 0.0.0.0 where there is no IPv6.
    const server = createServer((socket) => socket.on("error", () => {}).end());
    server.listen(port);
    await once(server, "listening");
    return new OpenPort(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** Every address of this machine that can be written without naming an interface, its loopback included, that no test gave it. */
export function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const isWritable = ({ address, family }: (typeof all)[number]) => family === "IPv4" || !address.startsWith("fe80:");
  return all.filter((each) => isWritable(each) && !isTestAddress(each.address)).map(({ address }) => address);
}

/** Above the public ports of hubs (22000…) and below the ports that the system gives to whoever connects or does not care (32768…). */
const FIRST_PORT = 28_000;
const LAST_PORT = 32_767;

/** A port that nothing listens on, now and, unless asked for by name, later. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    try {
      await using open = await OpenPort.create(port);
      return open.port;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    }
  }
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
