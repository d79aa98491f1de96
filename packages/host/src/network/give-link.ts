import type { FileHandle } from "node:fs/promises";
import { AppError } from "@hardshare/protocol";
import { LINK_ADDRESSES, LINK_DEVICE, type LinkProcess } from "./link-process.ts";
import { insideRules } from "./render-packet-rules.ts";
import { runNetworkProgram } from "./network-programs.ts";
import type { Surroundings } from "./surroundings.ts";

interface GiveLinkOptions {
  link: Pick<LinkProcess, "pid">;
  container: FileHandle;
  surroundings: Surroundings;
  /** Whether packet rules of the container are laid before it has a way out. */
  isJudged: boolean;
  environment: NodeJS.ProcessEnv;
  signal: AbortSignal;
}

/**
 * Gives a link's network device to a container: rules first, then settings of the kernel, then the device. Until its
 * last act nothing leaves the container.
 * @throws AppError `engine_missing`, `program_failed`, `cancelled`
 */
export async function giveLink(options: GiveLinkOptions): Promise<void> {
  const { link, surroundings, isJudged } = options;
  if (isJudged) await inside(options, ["nft", "-f", "-"], insideRules([...surroundings.nearby, ...surroundings.own]));
  await inside(options, ["/bin/sh", "-c", settings(surroundings.hasIpv6)]);
  const move = ["ip", "link", "set", "dev", LINK_DEVICE, "netns", networkOf(options)];
  await run(options, [`--net=/proc/${link.pid}/ns/net`, "--", ...move]);
  await inside(options, ["ip", "-batch", "-"], commands(surroundings));
}

/**
 * What the kernel learns from nobody: addresses, routes and gateways come from here alone. Without a way for IPv6 there is
 * none of it, not even on the link.
 */
function settings(hasIpv6: boolean): string {
  const ipv6 = { disable_ipv6: hasIpv6 ? 0 : 1, accept_ra: 0, autoconf: 0, accept_redirects: 0, dad_transmits: 0 };
  const ipv4 = { accept_redirects: 0, send_redirects: 0, forwarding: 0 };
  const write = (family: string, values: Record<string, number>) =>
    Object.entries(values).map(([name, value]) => `echo ${value} > /proc/sys/net/${family}/conf/default/${name}`);
  return `set -e; if [ -e /proc/sys/net/ipv6 ]; then ${write("ipv6", ipv6).join("; ")}; fi; ${write("ipv4", ipv4).join("; ")}`;
}

function commands({ hasIpv4, hasIpv6 }: Surroundings): string {
  const { ipv4, gateway4, ipv6, gateway6 } = LINK_ADDRESSES;
  return [
    `link set dev ${LINK_DEVICE} up`,
    ...(hasIpv4 ? [`address add ${ipv4}/30 dev ${LINK_DEVICE}`, `route add default via ${gateway4} dev ${LINK_DEVICE}`] : []),
    ...(hasIpv6 ? [`address add ${ipv6}/64 dev ${LINK_DEVICE} nodad`, `route add ::/0 via ${gateway6} dev ${LINK_DEVICE}`] : []),
    "",
  ].join("\n");
}

function inside(options: GiveLinkOptions, argv: readonly string[], input?: string): Promise<void> {
  return run(options, [`--net=${networkOf(options)}`, "--", ...argv], input);
}

/** The open descriptor of this process, as others reach it. */
function networkOf({ container }: GiveLinkOptions): string {
  return `/proc/${process.pid}/fd/${container.fd}`;
}

async function run({ environment: env, signal }: GiveLinkOptions, args: readonly string[], input?: string): Promise<void> {
  const { exitCode, stderr } = await runNetworkProgram("nsenter", args, { env, signal, input });
  if (exitCode === 0) return;
  throw new AppError("program_failed", `the network of the container cannot be set up: ${stderr.trim() || `exit code ${exitCode}`}`);
}
