import type { EndpointReport, HubDesired } from "@hardshare/protocol";
import type { Clock, Logger, Random } from "@hardshare/runtime";
import { parsePublicKey, SshServer } from "@hardshare/wire/ssh";
import { Endpoints } from "./endpoints.ts";
import { bindPublicPort } from "./public-port.ts";
import { findLogin, type Login, rulesFor } from "./logins.ts";

export interface HubCoreOptions {
  /** SSH host key: a private key file's text. */
  sshHostKey: string;
  /** The server's identity key, an OpenSSH public key line: who may log in as `server`. */
  serverKey: string;
  /** Address to listen on, for SSH and public ports. */
  bindHost: string;
  /** Public ports that may be bound. */
  firstPort: number;
  lastPort: number;
  /** Where an endpoint stands now; called at each change. */
  onReport(report: EndpointReport): void;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** A hub without its channel to the server: told what should be, it makes it so and reports what is. */
export class HubCore implements AsyncDisposable {
  readonly #endpoints: Endpoints;
  readonly #ssh: SshServer<Login>;
  readonly #bindHost: string;

  constructor(options: HubCoreOptions) {
    const { bindHost, clock, logger } = options;
    const serverKey = parsePublicKey(options.serverKey).blob;
    this.#bindHost = bindHost;
    this.#endpoints = new Endpoints({ ...options, bindPort: bindPublicPort });
    this.#ssh = new SshServer<Login>({
      hostKey: options.sshHostKey,
      logIn: (username, key) => findLogin(this.#endpoints, serverKey, username, key),
      onSession: (session) => rulesFor(session, this.#endpoints),
      clock,
      logger,
    });
  }

  /** @param port 0 for any that is free @returns the SSH port @throws AppError `port_in_use` */
  listen(port: number): Promise<number> {
    return this.#ssh.listen(port, this.#bindHost);
  }

  apply(desired: HubDesired): void {
    this.#endpoints.apply(desired);
  }

  reports(): EndpointReport[] {
    return this.#endpoints.reports();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endpoints[Symbol.dispose]();
    await this.#ssh[Symbol.asyncDispose]();
  }
}
