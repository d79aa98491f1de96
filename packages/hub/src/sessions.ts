import type { SshSession } from "@hardshare/wire/ssh";
import type { Login } from "./logins.ts";

/** SSH connections that a host may have for one instance: those it keeps, and as many that died without a word. */
const MAX_HOST_SESSIONS = 32;
/** SSH connections of jump users to one instance. */
const MAX_USER_SESSIONS = 256;

/** A login that belongs to one instance. */
type InstanceLogin = Exclude<Login, { role: "server" }>;
export type InstanceSession = SshSession<InstanceLogin>;

/** All SSH connections that have logged in for one instance. */
export class Sessions {
  readonly #sessions = new Set<InstanceSession>();

  /** @returns false when there are too many */
  add(session: InstanceSession): boolean {
    const { role } = session.who;
    const count = [...this.#sessions].filter((other) => other.who.role === role).length;
    if (count >= (role === "host" ? MAX_HOST_SESSIONS : MAX_USER_SESSIONS)) return false;
    this.#sessions.add(session);
    return true;
  }

  remove(session: InstanceSession): void {
    this.#sessions.delete(session);
  }

  /** Ends at once those that may no longer be here. */
  recheck(isAllowed: (login: InstanceLogin) => boolean): void {
    for (const session of this.#sessions) {
      if (isAllowed(session.who)) continue;
      this.#sessions.delete(session);
      session.cut();
    }
  }
}
