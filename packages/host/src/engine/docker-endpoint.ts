import { AppError } from "@hardshare/protocol";
import { withTimeLimit } from "@hardshare/runtime";
import type { EngineEndpoint } from "./api-connection.ts";
import { orAborted } from "./call-limits.ts";
import { acceptsConnections, SocketAppearance } from "./socket-appearance.ts";

/** Milliseconds that a Docker which does not listen is waited for: it is restarted in seconds, by its upgrade for instance. */
const RESTART_WITHIN_MS = 15_000;

/** The socket of a Docker that somebody else runs, and may restart. */
export class DockerEndpoint implements EngineEndpoint {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** @throws AppError `engine_missing` when it does not listen again soon */
  async ready(signal: AbortSignal): Promise<void> {
    if (await acceptsConnections(this.socketPath)) return;
    const either = withTimeLimit(signal, RESTART_WITHIN_MS);
    try {
      using appearance = new SocketAppearance(this.socketPath);
      if (await acceptsConnections(this.socketPath)) return;
      await orAborted(appearance.untilListening(either), either);
    } catch (error) {
      signal.throwIfAborted();
      throw new AppError("engine_missing", `docker does not answer on ${this.socketPath}: start it with: sudo systemctl start docker`, {
        cause: error,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It is not ours to stop.
  }
}
