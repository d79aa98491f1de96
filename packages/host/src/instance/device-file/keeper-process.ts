import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { AppError } from "@hardshare/protocol";
import { ownProgram } from "../../programs/own-program.ts";
import { EVENT_VARIABLE, INSTANCE_VARIABLE } from "../../programs/program-place.ts";

/** What the label of keepers says that they run for. */
export const KEEPER_EVENT = "device_file";

export interface StartKeeperOptions {
  readonly instanceId: string;
  /** Unix socket at which it serves. */
  readonly socket: string;
  /** Where it finds programs; it gets nothing else of the daemon's environment. */
  readonly path: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Starts the keeper of a device file. It goes on when the daemon ends, as the container does; it is ended with the
 * instance, by its label.
 * @returns path of the pseudo-terminal, to be mounted into the container
 * @throws AppError `program_failed`, `cancelled`
 */
export async function startKeeper({ instanceId, socket, path, signal }: StartKeeperOptions): Promise<string> {
  const child = spawn(process.execPath, [ownProgram("keeper"), socket], {
    cwd: "/",
    env: { PATH: path, [INSTANCE_VARIABLE]: instanceId, [EVENT_VARIABLE]: KEEPER_EVENT },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-2000)));
  try {
    const [line] = (await Promise.race([
      once(createInterface(child.stdout), "line", { signal }),
      once(child, "close").then(() => [""]),
    ])) as [string];
    if (line === "") throw new AppError("program_failed", `the keeper of the device file ended: ${words.trim()}`);
    return line;
  } catch (error) {
    child.kill("SIGKILL");
    if (signal.aborted) throw new AppError("cancelled", "making the device file was cancelled");
    throw error instanceof AppError
      ? error
      : new AppError("program_failed", `the keeper of the device file cannot be started: ${(error as Error).message}`);
  } finally {
    child.stdout.destroy();
    child.stderr.destroy();
    child.unref();
  }
}
