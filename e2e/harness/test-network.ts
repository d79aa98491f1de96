import { randomInt } from "node:crypto";
import { expectSuccess, run } from "./commands.ts";

/** Networks of four addresses in 198.18.0.0/15, which is for tests (RFC 2544). */
const NETWORK_COUNT = 2 ** 15;

/** Whether an address of this machine belongs to a test, and goes away with it. */
export function isTestAddress(address: string): boolean {
  return /^198\.1[89]\./.test(address);
}

/** A network namespace that stands in for another computer, and two addresses for a line to it, which no other test has. */
export class TestNetwork implements AsyncDisposable {
  /** Tells this network from those of other tests, also in names of devices. */
  readonly number: number;
  /** Addresses of this computer and of the other one. */
  readonly here: string;
  readonly there: string;

  private constructor(number: number) {
    this.number = number;
    const addressOf = (index: number) => {
      const offset = 4 * number + index;
      return `198.${18 + (offset >> 16)}.${(offset >> 8) & 255}.${offset & 255}`;
    };
    this.here = addressOf(1);
    this.there = addressOf(2);
  }

  static async claim(): Promise<TestNetwork> {
    for (;;) {
      const network = new TestNetwork(randomInt(NETWORK_COUNT));
      // Whoever makes the namespace has the network, until it is removed.
      const { code, stderr } = await run("ip", ["netns", "add", network.name]);
      if (code === 0) return network;
      if (!stderr.includes("File exists")) throw new Error(`no network namespace: ${stderr}`);
    }
  }

  /** Name of the namespace. */
  get name(): string {
    return `hs-test-${this.number}`;
  }

  /** What runs a command on the other computer, before that command. */
  get far(): readonly [string, ...string[]] {
    return ["ip", "netns", "exec", this.name];
  }

  /** Joins this computer and the other one by a cable: the device here, and the one there. */
  async layCable(near: string, far: string): Promise<void> {
    await expectSuccess("ip", ["link", "add", near, "type", "veth", "peer", "name", far, "netns", this.name]);
    await this.#address(near, far);
  }

  /** The same with two devices that are on this computer both. */
  async connect(near: string, far: string): Promise<void> {
    await expectSuccess("ip", ["link", "set", far, "netns", this.name]);
    await this.#address(near, far);
  }

  /** One more address of the other computer. */
  async addAddressThere(address: string, far: string): Promise<void> {
    await expectSuccess("ip", ["-n", this.name, "addr", "add", `${address}/32`, "dev", far]);
  }

  async #address(near: string, far: string): Promise<void> {
    for (const command of [
      `addr add ${this.here}/30 dev ${near}`,
      `link set ${near} up`,
      `-n ${this.name} addr add ${this.there}/30 dev ${far}`,
      `-n ${this.name} link set ${far} up`,
      `-n ${this.name} link set lo up`,
    ]) {
      await expectSuccess("ip", command.split(" "));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("ip", ["netns", "del", this.name]);
  }
}
