import { expectSuccess } from "./commands.ts";
import { TestNetwork } from "./test-network.ts";

/** Another computer, on a cable that can be pulled: no packet, no FIN. */
export class Cable implements AsyncDisposable {
  readonly #network: TestNetwork;

  private constructor(network: TestNetwork) {
    this.#network = network;
  }

  static async lay(): Promise<Cable> {
    const network = await TestNetwork.claim();
    const cable = new Cable(network);
    await network.layCable(cable.#device, `hsf${network.number}`);
    return cable;
  }

  /** Address of this computer. */
  get here(): string {
    return this.#network.here;
  }

  /** Address of the other computer. */
  get there(): string {
    return this.#network.there;
  }

  /** What runs a command on the other computer, before that command. */
  get far(): readonly string[] {
    return this.#network.far;
  }

  get #device(): string {
    return `hsc${this.#network.number}`;
  }

  async pull(): Promise<void> {
    await expectSuccess("ip", ["link", "set", this.#device, "down"]);
  }

  async plugIn(): Promise<void> {
    await expectSuccess("ip", ["link", "set", this.#device, "up"]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]();
  }
}
