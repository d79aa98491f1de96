import type { Duplex } from "node:stream";
import type { TunnelTarget } from "@hardshare/protocol";

/**
 * The tunnel of one instance: to the hub that the server names, kept up until it is closed. It may learn late where
 * that hub is, and change over to another. It dials while the instance is still being launched, and asks the hub for
 * the forward only once it is opened: until then nothing comes through. Disposing it cuts everything at once.
 */
export interface Tunnel extends AsyncDisposable {
  /** Settles when the first forward is bound. */
  readonly bound: Promise<void>;
  /** Where to dial; null is taken as "not yet known" and changes nothing. */
  setTarget(target: TunnelTarget | null): void;
  /** Lets connections through from now on. */
  open(): void;
  /**
   * Waits until the first forward is bound: for the hub to be named as long as it takes, then for 30 s.
   * @throws AppError `timed_out` with the last failure; the signal's reason
   */
  waitUntilBound(signal: AbortSignal): Promise<void>;
}

export interface TunnelOptions {
  /** Connects to what the tunnel leads to. */
  dial: (signal: AbortSignal) => Promise<Duplex>;
  /** The tunnel broke (true) and did not come back at once, or stands again (false). */
  onBroken: (isBroken: boolean) => void;
}
