import type { Clock } from "@hardshare/runtime";
import { Deadline } from "./deadline.ts";
import { type AnswerSink, DeviceLink, type DeviceRequest, type ForwardResult, type Responder } from "./device-link.ts";
import type { DeviceAddress } from "../run/device-address.ts";

/** The device's side of one client connection: at most one connection to the device, used by this client alone. */
export class DeviceConnection implements Responder {
  readonly #device: DeviceAddress;
  readonly #clock: Clock;
  readonly #idle: Deadline;
  #link: DeviceLink | undefined;
  #isDisposed = false;

  constructor(device: DeviceAddress, clock: Clock) {
    this.#device = device;
    this.#clock = clock;
    this.#idle = new Deadline(clock);
  }

  /**
   * Writes the request anew to the device and its answer to the sink; both bodies stream, each as fast as its reader.
   * Calls `settle` once, when it is over.
   */
  forward(request: DeviceRequest, sink: AnswerSink, settle: (result: ForwardResult) => void): void {
    if (this.#isDisposed) return settle("broken");
    this.#idle.clear();
    if (this.#link?.isUsable !== true) this.#link = new DeviceLink(this.#device, this.#clock);
    const link = this.#link;
    link.forward(request, sink, (result) => {
      if (result !== "done") link[Symbol.dispose]();
      if (link.isUsable) this.#idle.set(link.idleMs, () => link[Symbol.dispose]());
      settle(result);
    });
  }

  cut(): void {
    this.#link?.cut();
    this[Symbol.dispose]();
  }

  /** Closes the connection to the device, whatever it carries. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#idle[Symbol.dispose]();
    this.#link?.[Symbol.dispose]();
  }
}
