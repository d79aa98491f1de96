/** npm's packages and the build: what a checkout needs before its programs can run. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { bundleProgram } from "./bundle.mjs";
import { runTelling } from "./commands.mjs";

/** The oldest Node.js that works, as in package.json. */
const OLDEST_NODE = [20, 19];

/** @returns {string | undefined} what is wrong with the running Node.js, and what to do */
export function nodeProblem(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_NODE;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return undefined;
  return `hardshare needs Node.js ${OLDEST_NODE.join(".")} or newer; this is ${version}. Debian 13 has it: sudo apt-get install nodejs npm`;
}

/**
 * Installs npm's packages when they are missing or not those of the lock file.
 * @param {string} root the checkout
 * @param {(line: string) => void} onProgress
 * @returns {Promise<boolean>} whether they are there
 */
export async function ensureDependencies(root, onProgress) {
  if (await areInstalled(root)) return true;
  onProgress("installing npm packages (npm ci)");
  const npm = process.env.npm_execpath;
  const args = ["ci", "--no-fund", "--no-audit", "--loglevel=error"];
  return npm === undefined
    ? await runTelling("npm", args, { cwd: root })
    : await runTelling(process.execPath, [npm, ...args], { cwd: root });
}

/**
 * Makes the program of the sources.
 * @param {string} root the checkout, with npm's packages
 * @returns {Promise<boolean>} whether it could be made; why not has been said
 */
export async function build(root) {
  try {
    await bundleProgram(root);
    return true;
  } catch {
    return false;
  }
}

/** npm writes down what it installed, last of all: everything that the lock file asks for has to be in it. */
async function areInstalled(root) {
  const [wanted, installed] = await Promise.all([
    readPackages(root, "package-lock.json"),
    readPackages(root, "node_modules/.package-lock.json"),
  ]);
  if (wanted === undefined || installed === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (!path.startsWith("node_modules/")) return true;
    const found = installed[path];
    if (found === undefined) return entry.optional === true || entry.devOptional === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  });
}

async function readPackages(root, path) {
  try {
    return JSON.parse(await readFile(join(root, path), "utf8")).packages;
  } catch {
    return undefined;
  }
}
