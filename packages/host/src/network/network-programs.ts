import { AppError } from "@hardshare/protocol";
import { runProgram } from "@hardshare/runtime";
import { findProgram } from "../engine/podman-facts.ts";
import type { LinkMode } from "./link-process.ts";

/** Debian packages of the programs that links need. */
const PACKAGES = { ip: "iproute2", nft: "nftables", pasta: "passt", nsenter: "util-linux" } as const;
export type NetworkProgram = keyof typeof PACKAGES;

/** They take milliseconds. One that hangs must hold up no check of packet rules. */
const ENDS_WITHIN_MS = 10_000;

/** Runs a program to its end. @throws AppError `engine_missing` that says how to install it, `timed_out` */
export async function runNetworkProgram(
  name: NetworkProgram,
  args: readonly string[],
  options: Parameters<typeof runProgram>[2],
): ReturnType<typeof runProgram> {
  const late = AbortSignal.timeout(ENDS_WITHIN_MS);
  const signal = options?.signal === undefined ? late : AbortSignal.any([options.signal, late]);
  try {
    return await runProgram(name, args, { ...options, signal });
  } catch (error) {
    if (late.aborted) throw new AppError("timed_out", `\`${name}\` did not end within ${ENDS_WITHIN_MS / 1000} s`, { cause: error });
    throw (error as NodeJS.ErrnoException).code === "ENOENT" ? programMissing(name) : error;
  }
}

export function programMissing(name: NetworkProgram): AppError {
  const install = `Install it with: sudo apt-get install ${PACKAGES[name]}`;
  return new AppError(
    "engine_missing",
    `the program \`${name}\` is not on this computer, and \`network\` of the contract needs it. ${install}`,
  );
}

/** Looks whether the programs for a mode of `network` are there. @throws AppError `engine_missing` that says how to install one */
export async function requireNetworkPrograms(mode: LinkMode, env: Readonly<Record<string, string | undefined>>): Promise<void> {
  const needed = ["ip", "pasta", "nsenter", ...(mode === "internet" ? (["nft"] as const) : [])] as const;
  for (const name of needed) if ((await findProgram(name, env["PATH"])) === undefined) throw programMissing(name);
}
