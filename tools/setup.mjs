/**
 * Debian packages that the programs of this repository call. Used by `npm start` (tools/start.mjs) and `npm test`
 * (tools/test.mjs); plain JavaScript without dependencies, because it runs before anything is installed.
 */
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runQuietly, runTelling } from "./setup/commands.mjs";

/**
 * @typedef {object} SystemPackage
 * @property {string} name of the Debian package
 * @property {string} provides a program of it; or the path of a file of it
 * @property {string} why what it is needed for, to be read after "…, for"
 * @property {readonly string[]} [units] systemd units of it that must not run, not after the next boot either
 */

/** Needed wherever hardshare runs. @type {SystemPackage[]} */
export const BASE_PACKAGES = [
  { name: "openssh-client", provides: "ssh", why: "shells in instances (`hardshare ssh`)" },
  { name: "socat", provides: "socat", why: "the serial line of the simulated robot" },
  { name: "util-linux", provides: "setpriv", why: "ending child processes with their parents" },
];

/** Needed where instances are containers, which takes root. @type {SystemPackage[]} */
export const CONTAINER_PACKAGES = [
  { name: "podman", provides: "podman", why: "containers" },
  ...(needsRunc() ? [{ name: "runc", provides: "runc", why: "containers on this machine's mixed control groups" }] : []),
  { name: "mmdebstrap", provides: "mmdebstrap", why: "the image of instances, where no registry of images can be reached" },
  { name: "debian-archive-keyring", provides: "/usr/share/keyrings/debian-archive-keyring.gpg", why: "checking Debian's signatures" },
];

/** Needed by tests alone. @type {SystemPackage[]} */
export const TEST_PACKAGES = [
  { name: "iproute2", provides: "ip", why: "network namespaces that stand in for a network" },
  { name: "procps", provides: "pgrep", why: "looking for processes that are left" },
  { name: "passt", provides: "pasta", why: "`network: internet` and `open` of instances" },
  {
    name: "nftables",
    provides: "nft",
    why: "the packet rules of `network: internet`; its own service is not started",
    units: ["nftables.service"],
  },
  { name: "curl", provides: "curl", why: "the examples of the guides" },
  { name: "wrk", provides: "wrk", why: "many requests at once, for the http filter" },
  {
    name: "nginx-light",
    provides: "nginx",
    why: "what the http filter is measured beside; its own service is not started",
    units: ["nginx.service"],
  },
  { name: "gcc-avr", provides: "avr-gcc", why: "firmware of a machine behind the serial filter" },
  { name: "avr-libc", provides: "/usr/lib/avr/include/avr/io.h", why: "that firmware" },
  { name: "qemu-system-misc", provides: "qemu-system-avr", why: "the board on which that firmware runs" },
  { name: "systemd", provides: "systemd-analyze", why: "checking the units of `hardshare service`" },
  {
    name: "mosquitto",
    provides: "mosquitto",
    why: "a broker behind the mqtt filter, on 127.0.0.1; its own service is not started",
    units: ["mosquitto.service"],
  },
  {
    name: "openssh-server",
    provides: "/usr/sbin/sshd",
    why: "SSH servers of tests, on 127.0.0.1 and in namespaces; its own service is not started",
    units: ["ssh.service", "ssh.socket"],
  },
  {
    name: "docker.io",
    provides: "dockerd",
    why: "a Docker of the tests' own, for `provider: docker`; its own service is not started",
    units: ["docker.service", "docker.socket", "containerd.service"],
  },
];

/**
 * Installs those of the wanted packages that are not there, as root or with sudo that asks for no password. Never
 * throws: what cannot be installed is told, with how to get it, and returned, and the caller goes on without it.
 * @param {object} options
 * @param {readonly SystemPackage[]} options.want
 * @param {(line: string) => void} options.onProgress called with what is installed and why, and what is missing
 * @returns {Promise<{installed: string[], missing: SystemPackage[]}>}
 */
export async function ensureSystemPackages({ want, onProgress }) {
  const absent = want.filter((wanted) => !isProvided(wanted.provides));
  if (absent.length === 0) return { installed: [], missing: [] };
  const command = `apt-get install --no-install-recommends ${absent.map(({ name }) => name).join(" ")}`;
  const obstacle = await findObstacle();
  if (obstacle !== undefined) {
    tellMissing(absent, `${obstacle}. On Debian: sudo ${command}`, onProgress);
    return { installed: [], missing: absent };
  }
  for (const { name, why } of absent) onProgress(`installing ${name}, for ${why}`);
  await install(absent.map(({ name }) => name));
  const units = absent.flatMap((wanted) => wanted.units ?? []);
  if (units.length > 0 && findProgram("systemctl") !== undefined) await runQuietly(...asRoot(["systemctl", "disable", ...units]));
  const missing = absent.filter((wanted) => !isProvided(wanted.provides));
  if (missing.length > 0) tellMissing(missing, `apt-get did not install it: see above, then try: sudo ${command}`, onProgress);
  return { installed: absent.filter((wanted) => !missing.includes(wanted)).map(({ name }) => name), missing };
}

function tellMissing(packages, reason, onProgress) {
  for (const { name, why } of packages) onProgress(`${name} is missing, needed for ${why}`);
  onProgress(`it cannot be installed here: ${reason}`);
}

/** Why nothing can be installed, or undefined. */
async function findObstacle() {
  if (findProgram("apt-get") === undefined) return "this machine has no apt-get";
  if (!isRoot() && !(await runQuietly("sudo", ["-n", "true"]))) return "it takes root, or sudo that asks for no password";
  return undefined;
}

/**
 * Runs a command while nothing that is installed is started: the programs of this repository start what they need, and
 * nobody asked for a service of the machine (policy-rc.d: https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt).
 */
const WITHOUT_STARTING = `
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  trap 'exit 1' INT TERM HUP
  printf '#!/bin/sh\\nexit 101\\n' >$policy && chmod 755 $policy || exit 1
fi
"$@"`;

/** The lists of packages are fetched only when they are not there, or too old for what they name. */
async function install(names) {
  const ask = ["-o", "DPkg::Lock::Timeout=120", "-qq", "--yes", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends", "install", ...names];
  const isKnown = await runQuietly("apt-get", ["--simulate", ...ask]);
  const installIt = asRoot(["sh", "-c", WITHOUT_STARTING, "install", "apt-get", ...ask]);
  if (isKnown && (await runTelling(...installIt))) return;
  await runTelling(...asRoot(["apt-get", "-qq", "update"]));
  await runTelling(...installIt);
}

/** @returns {[command: string, args: string[]]} */
function asRoot(command) {
  const quiet = ["DEBIAN_FRONTEND=noninteractive", ...command];
  return isRoot() ? ["env", quiet] : ["sudo", ["-n", "env", ...quiet]];
}

export function isRoot() {
  return process.geteuid?.() === 0;
}

function isProvided(provides) {
  return provides.startsWith("/") ? isThere(provides, constants.R_OK) : findProgram(provides) !== undefined;
}

function findProgram(name) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
  return folders.map((folder) => join(folder, name)).find((path) => isThere(path, constants.X_OK));
}

function isThere(path, mode) {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** crun, which podman brings along, refuses version 1 control groups beside a version 2 that has controllers. */
function needsRunc() {
  const mounts = readOr("/proc/self/mounts", "")
    .split("\n")
    .map((line) => line.split(" "));
  const unified = mounts.find(([, , type]) => type === "cgroup2")?.[1];
  const isMixed = unified !== undefined && mounts.some(([, , type]) => type === "cgroup");
  return isMixed && readOr(join(unified, "cgroup.controllers"), "").trim() !== "";
}

function readOr(path, otherwise) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
