import { once } from "node:events";
import { spawn } from "node:child_process";
import { expectSuccess, run } from "./commands.ts";

/** A network namespace that stands in for the owner's LAN, with a TCP server in it; the host can reach it. */
export class Lan implements AsyncDisposable {
  /** The host's address on this LAN, and that of the server; 198.18.0.0/15 is for tests (RFC 2544). */
  readonly hostAddress = "198.18.7.1";
  readonly serverAddress = "198.18.7.2";
  readonly serverPort = 8000;
  readonly #name = `hs-lan-${process.pid}`;

  static async create(): Promise<Lan> {
    const lan = new Lan();
    const name = lan.#name;
    const [outside, inside] = [`hso${process.pid}`, `hsi${process.pid}`];
    for (const command of [
      `netns add ${name}`,
      `link add ${outside} type veth peer name ${inside} netns ${name}`,
      `addr add ${lan.hostAddress}/24 dev ${outside}`,
      `link set ${outside} up`,
      `-n ${name} addr add ${lan.serverAddress}/24 dev ${inside}`,
      `-n ${name} link set ${inside} up`,
    ]) {
      await expectSuccess("ip", command.split(" "));
    }
    const server = spawn(
      "ip",
      [
        "netns",
        "exec",
        name,
        process.execPath,
        "-e",
        `require("net").createServer((s) => s.end()).listen(${lan.serverPort}, () => console.log("up"))`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    lan.#server = server;
    await once(server.stdout, "data");
    return lan;
  }

  #server: ReturnType<typeof spawn> | undefined;

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    if (server !== undefined && server.kill("SIGKILL")) await once(server, "exit");
    await run("ip", ["netns", "del", this.#name]);
  }
}
