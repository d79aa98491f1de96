import { type ChildProcess, spawn } from "node:child_process";
import { readFile, readlink } from "node:fs/promises";
import { setPriority } from "node:os";
import { AppError, type Network } from "@hardshare/protocol";
import { type Clock, endProcessGroup } from "@hardshare/runtime";
import { EVENT_VARIABLE, INSTANCE_VARIABLE } from "../programs/program-place.ts";
import type { Running } from "../programs/supervised.ts";
import { INTERNET_UID, OPEN_UID } from "./network-users.ts";
import { programMissing } from "./network-programs.ts";
import type { Surroundings } from "./surroundings.ts";

/** A mode of `network` that leads out of the container. */
export type LinkMode = Exclude<Network, "isolated">;

/** What the label of links says that they run for. */
export const LINK_EVENT = "link";
/** The network device of a link. */
export const LINK_DEVICE = "eth0";
/** How the container and its gateway, which only the link knows, are addressed inside. */
export const LINK_ADDRESSES = { ipv4: "100.64.0.2", gateway4: "100.64.0.1", ipv6: "fd68:7368::2", gateway6: "fe80::1" } as const;

const READY = "ready";
/** How long a link may take until it stands; it takes 50 ms. */
const READY_WITHIN_MS = 10_000;
const END_GRACE_MS = 200;
/** The limits of the container do not hold for it, and filters, safe states and E-stops go before what it carries. */
const LINK_NICENESS = 10;
const MAX_WORDS = 2000;

export interface StartLinkOptions {
  mode: LinkMode;
  instanceId: string;
  surroundings: Pick<Surroundings, "hasIpv4" | "hasIpv6">;
  /** The daemon's PATH. */
  path: string | undefined;
  clock: Clock;
  signal: AbortSignal;
}

/** A link whose device waits to be given to a container. */
export interface LinkProcess extends Running {
  /** A process in the network where the device is. */
  readonly pid: number;
  /** Ends it at once, as if by itself: whoever keeps it starts another. */
  cut(): void;
}

/**
 * Starts `pasta`, as a user of its own without rights, in name spaces of its own: it makes of what is sent through its
 * network device connections and datagrams of this computer, by that user. Nothing leads from outside to the device.
 * @throws AppError `engine_missing`, `program_failed` with its words, `cancelled`
 */
export async function startLink(options: StartLinkOptions): Promise<LinkProcess> {
  const { mode, clock, signal, path } = options;
  const uid = mode === "internet" ? INTERNET_UID : OPEN_UID;
  // pasta itself gives up getting new privileges: before, AppArmor would refuse its transitions between profiles.
  const apart = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--"];
  const child = spawn("setpriv", [...apart, "pasta", ...pastaArguments(options)], {
    cwd: "/",
    env: { PATH: path, [INSTANCE_VARIABLE]: options.instanceId, [EVENT_VARIABLE]: LINK_EVENT },
    detached: true,
    // Its input is the lifeline: when the daemon ends, so does `cat`, and with it pasta.
    stdio: ["pipe", "pipe", "pipe"],
  });
  let words = "";
  // The first of them: after an option that it does not know it prints all that it knows.
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words = (words + text).slice(0, MAX_WORDS)));
  child.stdin.on("error", () => {});
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`the network link cannot be started: ${error.message}`));
    child.once("close", () =>
      resolve(`the network link ended: ${describe(words) || `exit code ${child.exitCode}, signal ${child.signalCode}`}`),
    );
  });
  const end = () => endProcessGroup(child, END_GRACE_MS, clock);
  try {
    await untilReady(child, ended, clock, signal);
    const pid = await requireUser(child, uid);
    setPriority(child.pid ?? pid, LINK_NICENESS);
    return { pid, ended, cut: () => void child.kill("SIGKILL"), [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    if (child.exitCode === 127 && words.includes("pasta")) throw programMissing("pasta");
    throw error;
  }
}

/** No way in, neither to the container nor, past its gateway, to servers of this computer; and it configures nobody. */
const FIXED_ARGUMENTS: readonly string[] = (
  `--foreground --quiet --config-net --ns-ifname=${LINK_DEVICE} ` +
  "--tcp-ports=none --udp-ports=none --tcp-ns=none --udp-ns=none --no-map-gw " +
  "--no-dhcp --no-dhcpv6 --no-ra --dns=none --search=none"
).split(" ");
/** What it runs in the device's network once the device is there. */
const IN_ITS_NETWORK = ["/bin/sh", "-c", `echo ${READY}; exec cat`];

function pastaArguments({ surroundings: { hasIpv4, hasIpv6 } }: StartLinkOptions): string[] {
  if (!hasIpv4 && !hasIpv6) {
    throw new AppError(
      "program_failed",
      "this computer has no route to the internet: connect it, or write `network: isolated` into the contract",
    );
  }
  const { ipv4, gateway4, ipv6, gateway6 } = LINK_ADDRESSES;
  return [
    ...FIXED_ARGUMENTS,
    ...(hasIpv4 ? [`--address=${ipv4}`, "--netmask=255.255.255.252", `--gateway=${gateway4}`] : ["--ipv6-only"]),
    ...(hasIpv6 ? [`--address=${ipv6}`, `--gateway=${gateway6}`] : ["--ipv4-only"]),
    "--",
    ...IN_ITS_NETWORK,
  ];
}

/** The packet rules know its packets by the user who runs it. @returns a process that it started, which is in the device's network */
async function requireUser({ pid }: ChildProcess, uid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  if (!new RegExp(`^Uid:\t${uid}\t${uid}\t${uid}\t${uid}$`, "m").test(status)) {
    throw new AppError("internal", `the network link does not run as user ${uid}`);
  }
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  const own = await readlink("/proc/self/ns/net");
  for (const text of children.trim().split(" ")) {
    // Never the network of this computer, whose own device would be moved away.
    const network = await readlink(`/proc/${text}/ns/net`).catch(() => own);
    if (network !== own) return Number(text);
  }
  throw new AppError("program_failed", "the network link ended before its device could be given to the container");
}

async function untilReady(child: ChildProcess, ended: Promise<string>, clock: Clock, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const fail = (message: string) => reject(new AppError("program_failed", message));
    const cancel = () => reject(new AppError("cancelled", "starting the network link was cancelled"));
    const timer = clock.after(READY_WITHIN_MS, () => fail(`the network link did not stand within ${READY_WITHIN_MS / 1000} s`));
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    child.stdout?.once("data", () => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", cancel);
      resolve();
    });
    void ended.then((how) => {
      timer[Symbol.dispose]();
      fail(how);
    });
  });
}

/** Its own words, with what to do where it is known; it complains of the system's log where there is none. */
function describe(words: string): string {
  const own = words
    .split("\n")
    .filter((line) => !line.includes("to syslog"))
    .join(" ")
    .trim();
  const [unknownOption] = /(unrecognized|unknown|ambiguous) option[^ ]* \S+/.exec(own) ?? [];
  if (unknownOption !== undefined)
    return `${unknownOption}: this \`pasta\` is of another version; install that of Debian 12 or a later one`;
  const isTunClosed = own.includes("tun socket");
  return isTunClosed ? `${own} (may all users open /dev/net/tun? \`chmod 666 /dev/net/tun\` lets them, as is usual)` : own;
}
