/** A line of the kind that hosts have at the edge of a mobile network: packets are lost, late, and out of order. */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { TestNetwork } from "./test-network.ts";

/** What happens to each packet, of each direction, by chance and regardless of the others. */
export interface Weather {
  /** Share of the packets that are lost, 0 to 1. */
  loss: number;
  /** A packet arrives this much later at most, evenly distributed: later ones overtake earlier ones. */
  jitterMs: number;
}

/**
 * Another computer, on a bad line: a relay of IP packets between two TUN devices in this process, because not every
 * kernel has `netem`. socat makes the devices and hands their packets on as datagrams.
 */
export class BadLine implements AsyncDisposable {
  readonly #network: TestNetwork;
  readonly #weather: Weather;
  readonly #ends: TunEnd[] = [];
  #isPulled = false;
  #carried = 0;
  #lost = 0;

  private constructor(network: TestNetwork, weather: Weather) {
    this.#network = network;
    this.#weather = weather;
  }

  static async lay(weather: Weather): Promise<BadLine> {
    const network = await TestNetwork.claim();
    const line = new BadLine(network, weather);
    try {
      const near = await TunEnd.open(`hsn${network.number}`);
      line.#ends.push(near);
      const far = await TunEnd.open(`hsf${network.number}`);
      line.#ends.push(far);
      await network.connect(near.device, far.device);
      near.onPacket = (packet) => line.#carry(packet, far);
      far.onPacket = (packet) => line.#carry(packet, near);
      return line;
    } catch (error) {
      await line[Symbol.asyncDispose]();
      throw error;
    }
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

  /** What was injected so far, for whoever reads the tests' output. */
  get report(): string {
    const { loss, jitterMs } = this.#weather;
    const total = this.#carried + this.#lost;
    return `${total} packets through a user-space relay over TUN, each up to ${jitterMs} ms late, ${this.#lost} lost (of ${loss * 100} %)`;
  }

  /** From now on nothing arrives: no packet, no FIN, and neither end is told. */
  pull(): void {
    this.#isPulled = true;
  }

  plugIn(): void {
    this.#isPulled = false;
  }

  #carry(packet: Buffer, to: TunEnd): void {
    if (this.#isPulled) return;
    if (Math.random() < this.#weather.loss) return void (this.#lost += 1);
    this.#carried += 1;
    setTimeout(() => this.#isPulled || to.send(packet), Math.random() * this.#weather.jitterMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isPulled = true;
    for (const end of this.#ends) await end[Symbol.asyncDispose]();
    await this.#network[Symbol.asyncDispose]();
  }
}

/** One TUN device (https://docs.kernel.org/networking/tuntap.html), whose packets come and go as datagrams on the loopback. */
class TunEnd implements AsyncDisposable {
  readonly device: string;
  onPacket: (packet: Buffer) => void = () => {};
  readonly #socket: Socket;
  readonly #socat: ChildProcess;
  readonly #ended: Promise<unknown>;
  #port = 0;

  private constructor(device: string, socket: Socket) {
    this.device = device;
    this.#socket = socket;
    const tun = `TUN,tun-name=${device},tun-type=tun,iff-no-pi`;
    this.#socat = spawn("socat", ["-d", "-d", tun, `UDP4:127.0.0.1:${socket.address().port}`], { stdio: ["ignore", "ignore", "pipe"] });
    this.#ended = once(this.#socat, "close");
    socket.on("message", (packet, { port }) => {
      if (port === this.#port) this.onPacket(packet);
    });
  }

  static async open(device: string): Promise<TunEnd> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    const end = new TunEnd(device, socket);
    end.#port = await end.#untilConnected();
    return end;
  }

  send(packet: Buffer): void {
    this.#socket.send(packet, this.#port, "127.0.0.1");
  }

  /** socat says its own port once the device is there. */
  async #untilConnected(): Promise<number> {
    let log = "";
    return await new Promise((resolve, reject) => {
      this.#socat.stderr?.on("data", (chunk: Buffer) => {
        log += chunk.toString();
        const port = /from local address AF=2 127\.0\.0\.1:(\d+)/.exec(log)?.[1];
        if (port !== undefined) resolve(Number(port));
      });
      this.#ended.then(() => reject(new Error(`socat could not open a TUN device:\n${log}`)), reject);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socat.kill();
    await this.#ended;
    this.#socket.close();
  }
}
