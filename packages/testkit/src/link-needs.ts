import { chmod, mkdir, open } from "node:fs/promises";
import { runProgram } from "@hardshare/runtime";

const TUN_DEVICE = "/dev/net/tun";
/** Options of `pasta` without which there is no link, and which came later than others. */
const NEEDED_OPTIONS = ["--config-net", "--ns-ifname", "--no-map-gw"];

/**
 * Readies this machine for links of instances, as udev does where it runs: all users may open /dev/net/tun.
 * @returns why it can have none, whatever the code under test does; a `pasta` that is missing is none: it has to be installed
 */
export async function readyForLinks(): Promise<string | undefined> {
  if (process.geteuid?.() !== 0) return "needs root";
  try {
    await mkdir("/dev/net", { recursive: true });
    await runProgram("mknod", [TUN_DEVICE, "c", "10", "200"]); // fails when it is there
    await chmod(TUN_DEVICE, 0o666);
    await (await open(TUN_DEVICE, "r+")).close();
  } catch (error) {
    return `this machine has no usable ${TUN_DEVICE}: ${(error as Error).message}`;
  }
  const { stdout, stderr } = await runProgram("pasta", ["--help"]).catch(() => ({ stdout: NEEDED_OPTIONS.join(" "), stderr: "" }));
  const missing = NEEDED_OPTIONS.filter((option) => !(stdout + stderr).includes(option));
  return missing.length === 0 ? undefined : `the \`pasta\` of this machine is too old: it has no ${missing.join(", ")}`;
}
