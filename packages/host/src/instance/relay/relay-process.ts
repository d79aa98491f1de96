import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { type Clock, endProcessGroup } from "@hardshare/runtime";
import { ownProgram } from "../../programs/own-program.ts";
import { EVENT_VARIABLE, INSTANCE_VARIABLE } from "../../programs/program-place.ts";
import type { Running } from "../../programs/supervised.ts";
import { type ContainerProcess, openContainerNetwork } from "../container-network.ts";
import { NAMESPACE_DESCRIPTOR, RELAY_READY, type RelaySettings } from "./relay-settings.ts";

/**
 * Numeric user and group of relays; nobody else's: systemd's table of user ids leaves 65520–65533 unused, and Debian
 * reserves 65000–65533.
 */
export const RELAY_UID = 65_530;
/** Port on which the container's SSH server listens. */
const SSH_PORT = 22;
const INWARD_SOCKET = "ssh.sock";
/** How long a relay may take until it carries; it takes 50 ms. */
const READY_WITHIN_MS = 10_000;
const END_GRACE_MS = 200;
const MAX_WORDS = 4000;

/** What the label of relays says that they run for. */
export const RELAY_EVENT = "relay";

export interface StartRelayOptions extends ContainerProcess {
  instanceId: string;
  /** The instance's folder of sockets. */
  folder: string;
  outward: RelaySettings["outward"];
  datagrams: RelaySettings["datagrams"];
  clock: Clock;
  signal: AbortSignal;
}

/** A relay that carries. */
export interface RelayProcess extends Running {
  /** A connection to the container's SSH server; the first ones wait until it listens. */
  dial(signal: AbortSignal): Promise<Socket>;
}

/** @throws AppError `program_failed` with the relay's words, `cancelled` */
export async function startRelay(options: StartRelayOptions): Promise<RelayProcess> {
  const { folder, outward, datagrams, clock, signal } = options;
  if (process.geteuid?.() !== 0) {
    throw new AppError("program_failed", "a container can be reached by root only on this version: run the host daemon as root");
  }
  const settings: RelaySettings = { folder, outward, datagrams, inward: { socket: INWARD_SOCKET, port: SSH_PORT }, uid: RELAY_UID };
  const socketPath = join(folder, INWARD_SOCKET);
  await rm(socketPath, { force: true });
  await using namespace = await openContainerNetwork(options);
  const child = spawn(
    "nsenter",
    [
      `--net=/proc/self/fd/${NAMESPACE_DESCRIPTOR}`,
      "--",
      "setpriv",
      "--no-new-privs",
      "--pdeathsig",
      "KILL",
      "--",
      process.execPath,
      ownProgram("relay"),
      JSON.stringify(settings),
    ],
    // It gets nothing of the daemon's environment but the label by which it is found when its lifeline did not end it.
    {
      cwd: "/",
      env: { [INSTANCE_VARIABLE]: options.instanceId, [EVENT_VARIABLE]: RELAY_EVENT },
      detached: true,
      stdio: ["pipe", "pipe", "pipe", namespace.fd],
    },
  );
  let words = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(-MAX_WORDS)));
  child.stdin?.on("error", () => {});
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`the relay cannot be started: ${error.message}`));
    child.once("close", () => resolve(`the relay ended: ${words.trim() || `exit code ${child.exitCode}, signal ${child.signalCode}`}`));
  });
  const end = () => endProcessGroup(child, END_GRACE_MS, clock);
  try {
    await untilReady(child, ended, clock, signal);
  } catch (error) {
    await end();
    throw error;
  }
  return { ended, dial: (signal) => dial(socketPath, signal), [Symbol.asyncDispose]: end };
}

async function untilReady(child: ChildProcess, ended: Promise<string>, clock: Clock, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (message: string) => reject(new AppError("program_failed", message));
    const cancel = () => reject(new AppError("cancelled", "starting the relay was cancelled"));
    const timer = clock.after(READY_WITHIN_MS, () => fail(`the relay did not start within ${READY_WITHIN_MS / 1000} s`));
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    void ended.then(fail);
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text = (text + chunk).slice(-2 * RELAY_READY.length);
      if (!text.includes(RELAY_READY)) return;
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", cancel);
      resolve();
    });
    void ended.then(() => timer[Symbol.dispose]());
  });
}

async function dial(path: string, signal: AbortSignal): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true });
  try {
    await once(socket, "connect", { signal });
  } catch (cause) {
    socket.on("error", () => {});
    socket.destroy();
    throw new AppError("connection_lost", `the relay does not accept connections: ${(cause as Error).message}`, { cause });
  }
  return socket;
}
