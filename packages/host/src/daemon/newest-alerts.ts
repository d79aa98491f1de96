import type { Clock } from "@hardshare/runtime";

/** Alerts of each deployment that `status` shows. */
const MAX_ALERTS = 5;

/** The newest alerts of a deployment since the daemon began. */
export class NewestAlerts {
  readonly #clock: Clock;
  readonly #alerts: { at: string; message: string }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get list(): { at: string; message: string }[] {
    return [...this.#alerts];
  }

  add(message: string): void {
    this.#alerts.push({ at: new Date(this.#clock.now()).toISOString(), message });
    this.#alerts.splice(0, this.#alerts.length - MAX_ALERTS);
  }
}
