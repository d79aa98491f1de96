import { run, expectSuccess } from "./commands.ts";

/** A network namespace that stands in for another computer, on a cable that can be pulled: no packet, no FIN. */
export class Cable implements AsyncDisposable {
  /** Addresses of this computer and of the other one; 198.18.0.0/15 is for tests (RFC 2544). */
  readonly here = "198.18.9.1";
  readonly there = "198.18.9.2";
  readonly #name = `hs-far-${process.pid}`;
  readonly #device = `hsc${process.pid}`;

  static async lay(): Promise<Cable> {
    const cable = new Cable();
    const far = `hsf${process.pid}`;
    for (const command of [
      `netns add ${cable.#name}`,
      `link add ${cable.#device} type veth peer name ${far} netns ${cable.#name}`,
      `addr add ${cable.here}/24 dev ${cable.#device}`,
      `link set ${cable.#device} up`,
      `-n ${cable.#name} addr add ${cable.there}/24 dev ${far}`,
      `-n ${cable.#name} link set ${far} up`,
      `-n ${cable.#name} link set lo up`,
    ]) {
      await expectSuccess("ip", command.split(" "));
    }
    return cable;
  }

  /** What runs a command on the other computer, before that command. */
  get far(): readonly string[] {
    return ["ip", "netns", "exec", this.#name];
  }

  async pull(): Promise<void> {
    await expectSuccess("ip", ["link", "set", this.#device, "down"]);
  }

  async plugIn(): Promise<void> {
    await expectSuccess("ip", ["link", "set", this.#device, "up"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("ip", ["netns", "del", this.#name]);
  }
}
