import type { Clock } from "@hardshare/runtime";
import { type AnswerSink, type DeviceAddress, DeviceLink, type DeviceRequest, type ForwardResult } from "./device-link.ts";

/** The device's side of one client connection: at most one connection to the device, used by this client alone. */
export class DeviceConnection implements Disposable {
  readonly #device: DeviceAddress;
  readonly #clock: Clock;
  #link: DeviceLink | undefined;
  #idle: Disposable | undefined;
  #isDisposed = false;

  constructor(device: DeviceAddress, clock: Clock) {
    this.#device = device;
    this.#clock = clock;
  }

  /** Writes the request anew to the device and its answer to the sink; both bodies stream, each as fast as its reader. */
  async forward(request: DeviceRequest, sink: AnswerSink): Promise<ForwardResult> {
    if (this.#isDisposed) return "broken";
    this.#idle?.[Symbol.dispose]();
    if (this.#link?.isUsable !== true) this.#link = new DeviceLink(this.#device, this.#clock);
    const link = this.#link;
    const result = await link.forward(request, sink);
    if (result !== "done") link[Symbol.dispose]();
    if (link.isUsable) this.#idle = this.#clock.after(link.idleMs, () => link[Symbol.dispose]());
    return result;
  }

  /** Closes the connection to the device, whatever it carries. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#idle?.[Symbol.dispose]();
    this.#link?.[Symbol.dispose]();
  }
}
