/** Runs other programs during set-up. Whatever they print goes to standard error: standard output is the product's. */
import { spawn } from "node:child_process";

const children = new Set();

/** Ends what runs now, so that nothing stays when the set-up is stopped. @param {NodeJS.Signals} signal */
export function endCommands(signal) {
  for (const child of children) child.kill(signal);
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{cwd?: string, isSilent?: boolean}} [options]
 * @returns {Promise<boolean>} whether it ended well
 */
export function runTelling(command, args, { cwd, isSilent = false } = {}) {
  return run(command, args, { cwd, stdio: isSilent ? "ignore" : ["ignore", process.stderr, process.stderr] });
}

/** Like `runTelling`, without a word. */
export function runQuietly(command, args) {
  return runTelling(command, args, { isSilent: true });
}

function run(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, options);
    children.add(child);
    const done = (isWell) => {
      children.delete(child);
      resolve(isWell);
    };
    child.once("error", () => done(false));
    child.once("close", (exitCode) => done(exitCode === 0));
  });
}
