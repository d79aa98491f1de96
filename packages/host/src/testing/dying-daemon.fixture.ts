/**
 * A host daemon as a process of its own that kills itself at one failpoint, or by `kill -9` of a test. Its one argument
 * is JSON: `{home, state, dieAt}`. Prints a line when it is ready.
 */
import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { startHostDaemon } from "../daemon/host-daemon.ts";

const { home, state, dieAt } = JSON.parse(process.argv[2] ?? "") as { home: string; state: string; dieAt: string };

const daemon = await startHostDaemon({
  home,
  state,
  selfCommand: [process.execPath, "-e", "process.exit(9)"],
  environment: process.env,
  softwareVersion: "0.0.0",
  clock: systemClock,
  random: systemRandom,
  failpoints: {
    async pass(name) {
      if (name !== dieAt) return;
      process.kill(process.pid, "SIGKILL");
      await new Promise(() => {});
    },
  },
  logger: silentLogger,
});
await daemon.ready;
process.stdout.write("ready\n");
