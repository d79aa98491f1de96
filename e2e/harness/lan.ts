import { once } from "node:events";
import { spawn } from "node:child_process";
import { expectSuccess, run } from "./commands.ts";
import { knock } from "./network.ts";

/**
 * A network namespace that stands in for the owner's LAN, with a TCP server and a cloud's metadata service in it; the host
 * can reach both.
 */
export class Lan implements AsyncDisposable {
  /** The host's address on this LAN, and that of the server; 198.18.0.0/15 is for tests (RFC 2544). */
  readonly hostAddress = "198.18.7.1";
  readonly serverAddress = "198.18.7.2";
  readonly serverPort = 8000;
  /** Where clouds tell a machine its secrets. */
  readonly metadataAddress = "169.254.169.254";
  readonly metadataPort = 80;
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
      `-n ${name} addr add ${lan.metadataAddress}/32 dev ${inside}`,
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
        `const listen = (port, next) => require("net").createServer((s) => s.end()).listen(port, "0.0.0.0", next);
         listen(${lan.serverPort}, () => listen(${lan.metadataPort}, () => console.log("up")));`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    lan.#server = server;
    await once(server.stdout, "data");
    // A machine in a cloud keeps the way to its real one, which it may need; the route goes with the device.
    if ((await knock(lan.metadataAddress, lan.metadataPort)) !== "open")
      await expectSuccess("ip", ["route", "add", `${lan.metadataAddress}/32`, "dev", outside]);
    return lan;
  }

  #server: ReturnType<typeof spawn> | undefined;

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    if (server !== undefined && server.kill("SIGKILL")) await once(server, "exit");
    await run("ip", ["netns", "del", this.#name]);
  }
}
