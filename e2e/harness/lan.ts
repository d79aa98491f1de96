import { once } from "node:events";
import { type ChildProcess, spawn } from "node:child_process";
import { expectSuccess } from "./commands.ts";
import { knock } from "./network.ts";
import { TestNetwork } from "./test-network.ts";

/** Names of devices here begin with it. */
const DEVICE = "hso";

/** The owner's LAN, with a TCP server and a cloud's metadata service in it; the host can reach both. */
export class Lan implements AsyncDisposable {
  readonly serverPort = 8000;
  /** Where clouds tell a machine its secrets. */
  readonly metadataAddress = "169.254.169.254";
  readonly metadataPort = 80;
  readonly #network: TestNetwork;
  #server: ChildProcess | undefined;

  private constructor(network: TestNetwork) {
    this.#network = network;
  }

  static async create(): Promise<Lan> {
    const lan = new Lan(await TestNetwork.claim());
    const [outside, inside] = [`${DEVICE}${lan.#network.number}`, `hsi${lan.#network.number}`];
    await lan.#network.layCable(outside, inside);
    await lan.#network.addAddressThere(lan.metadataAddress, inside);
    const script = `const listen = (port, next) => require("net").createServer((s) => s.end()).listen(port, "0.0.0.0", next);
      listen(${lan.serverPort}, () => listen(${lan.metadataPort}, () => console.log("up")));`;
    const [command, ...args] = [...lan.#network.far, process.execPath, "-e", script];
    const server = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
    lan.#server = server;
    await once(server.stdout, "data");
    // A machine in a cloud keeps the way to its real one, which it may need; the route goes with the device.
    if (!(await lan.#isMetadataThere())) {
      const route = ["route", "add", `${lan.metadataAddress}/32`, "dev", outside];
      await expectSuccess("ip", [...route, "metric", String(lan.#network.number + 1)]); // other tests may have one too
    }
    return lan;
  }

  /** The host's address on this LAN. */
  get hostAddress(): string {
    return this.#network.here;
  }

  get serverAddress(): string {
    return this.#network.there;
  }

  /** Whether there is one that does not go away with another test. */
  async #isMetadataThere(): Promise<boolean> {
    if ((await knock(this.metadataAddress, this.metadataPort)) !== "open") return false;
    return !(await expectSuccess("ip", ["route", "get", this.metadataAddress])).includes(` dev ${DEVICE}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    if (server !== undefined && server.kill("SIGKILL")) await once(server, "exit");
    await this.#network[Symbol.asyncDispose]();
  }
}
