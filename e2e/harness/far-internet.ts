import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { getServers } from "node:dns";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expectSuccess, run } from "./commands.ts";
import { TestNetwork } from "./test-network.ts";

const SERVERS = fileURLToPath(new URL("./internet-servers.mjs", import.meta.url));

/** What reached a server, and to whom it was sent. */
export interface Arrival {
  by: string;
  to: string;
}

/** Addresses of a host's computer: public ones, and ones of its owner's networks. */
const HOST = { public4: "45.33.7.2", public6: "2600:1f18:77::2", lan4: "10.77.0.1", other4: "192.168.77.1", lan6: "fd77::1" };
/** Computers near it: its router, a neighbour with public addresses, ones of the owner's networks, a metadata service. */
const NEAR = {
  router4: "45.33.7.1",
  router6: "2600:1f18:77::1",
  neighbour4: "45.33.7.99",
  neighbour6: "2600:1f18:77::99",
  lan4: "10.77.0.9",
  other4: "192.168.77.9",
  lan6: "fd77::9",
  metadata: "169.254.169.254",
};
/** A computer far away in the internet. */
const FAR = { ipv4: "8.8.8.8", ipv6: "2606:4700::8" };
/** Forms of an IPv4 address of the owner's network in which an IPv6 packet may carry it, all of which its router answers. */
const FORMS = { nat64: "64:ff9b::a4d:9", local64: "64:ff9b:1::a4d:9", sixToFour: "2002:a4d:9::1", teredo: "2001:0:a4d:9::1" };

/**
 * A host's computer with an internet and an owner's networks around it, in two network namespaces: nothing of this
 * machine's own network is touched, and every address outside is played by one other computer, whoever it belongs to.
 */
export class FarInternet implements AsyncDisposable {
  readonly host = HOST;
  readonly near = NEAR;
  readonly far = FAR;
  readonly forms = FORMS;
  /** Port of the servers, TCP and UDP, at all addresses of the host and of the others. */
  readonly port = 7777;
  readonly arrivedAtHost: Arrival[] = [];
  readonly arrivedOutside: Arrival[] = [];
  readonly asked: Arrival[] = [];
  /** The network between this machine, where server and hub are, and the host's computer. */
  readonly #line: TestNetwork;
  readonly #outside: TestNetwork;
  readonly #servers: ChildProcess[] = [];

  private constructor(line: TestNetwork, outside: TestNetwork) {
    this.#line = line;
    this.#outside = outside;
  }

  static async create({ hasIpv6 = true } = {}): Promise<FarInternet> {
    const internet = new FarInternet(await TestNetwork.claim(), await TestNetwork.claim());
    await internet.#lay(hasIpv6);
    const { arrivedAtHost, arrivedOutside, asked, port } = internet;
    await internet.#serve(internet.within, { port }, arrivedAtHost);
    await internet.#serve(internet.#outside.far, { port }, arrivedOutside);
    await internet.#serve(internet.within, { resolvers: internet.#resolvers }, asked);
    return internet;
  }

  /** Address of this machine at which server and hub listen. */
  get serverAddress(): string {
    return this.#line.here;
  }

  /** The host's computer on that line. */
  get hostOnLine(): string {
    return this.#line.there;
  }

  /** What runs a command on the host's computer, before that command. */
  get within(): readonly [string, ...string[]] {
    return ["nsenter", `--net=/run/netns/${this.#line.name}`, "--"];
  }

  /** Runs a program on the host's computer. */
  async atHost(...command: string[]): Promise<string> {
    const [program, ...args] = this.within;
    return expectSuccess(program, [...args, ...command]);
  }

  /** The resolvers of this machine, by which the host's computer asks, too: there they are its own. */
  get #resolvers(): string[] {
    return getServers().map((server) => server.replace(/^\[(.*)\]:\d+$/, "$1"));
  }

  async #lay(hasIpv6: boolean): Promise<void> {
    const { number } = this.#line;
    await this.#line.layCable(`hsl${number}`, `hsm${number}`);
    const [near, far] = ["uplink", "dn"];
    const at = async (namespace: string, ...commands: string[]) => {
      for (const command of commands) await expectSuccess("ip", ["-n", namespace, ...command.split(" ")]);
    };
    const [here, there] = [this.#line.name, this.#outside.name];
    await at(here, "link set lo up", `link add ${near} type veth peer name ${far} netns ${there}`, `link set dev ${near} up`);
    await at(there, "link set lo up", `link set dev ${far} up`);
    await at(here, ...[HOST.public4, HOST.lan4, HOST.other4].map((address) => `addr add ${address}/24 dev ${near}`));
    await at(there, ...[NEAR.router4, NEAR.neighbour4, NEAR.lan4, NEAR.other4].map((address) => `addr add ${address}/24 dev ${far}`));
    await at(there, `addr add ${NEAR.metadata}/32 dev ${far}`, `addr add ${FAR.ipv4}/32 dev lo`);
    await at(here, `route add ${NEAR.metadata}/32 dev ${near}`, `route add default via ${NEAR.router4}`);
    const resolvers = this.#resolvers.filter((address) => address !== "::1" && !address.startsWith("127."));
    await at(here, ...resolvers.map((address) => `addr add ${address}/${address.includes(":") ? 128 : 32} dev lo`));
    if (!hasIpv6) return;
    await at(here, ...[HOST.public6, HOST.lan6].map((address) => `-6 addr add ${address}/64 dev ${near} nodad`));
    await at(there, ...[NEAR.router6, NEAR.neighbour6, NEAR.lan6].map((address) => `-6 addr add ${address}/64 dev ${far} nodad`));
    await at(there, ...[FAR.ipv6, ...Object.values(FORMS)].map((address) => `-6 addr add ${address}/128 dev lo`));
    await at(here, `-6 route add default via ${NEAR.router6}`);
  }

  async #serve(within: readonly [string, ...string[]], settings: object, arrivals: Arrival[]): Promise<void> {
    const [command, ...args] = within;
    const child = spawn(command, [...args, process.execPath, SERVERS, JSON.stringify(settings)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#servers.push(child);
    await new Promise<void>((resolve, reject) => {
      child.once("exit", (code) => reject(new Error(`a server of the test ended with ${code}`)));
      createInterface({ input: child.stdout }).on("line", (line) => {
        const event = JSON.parse(line) as Arrival | "ready";
        if (event === "ready") resolve();
        else arrivals.push(event);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#servers) {
      child.removeAllListeners("exit");
      if (child.kill("SIGKILL")) await once(child, "exit");
    }
    await this.#line[Symbol.asyncDispose]();
    await this.#outside[Symbol.asyncDispose]();
    await run("ip", ["link", "del", `hsl${this.#line.number}`]);
  }
}
