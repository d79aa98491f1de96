/** The command `hardshare`: takes arguments, environment and signals, runs one verb, and ends with its exit code. */
import { homedir } from "node:os";
import { allowHeapGrowth, systemClock, systemRandom, watchLifeline } from "@hardshare/runtime";
import { commandNameOf } from "./command-name.ts";
import { readEnvironment } from "./environment.ts";
import { HangUps } from "./hang-ups.ts";
import { listenTo } from "./listen-to.ts";
import { tellFailure } from "./output/failure.ts";
import { untilWritten } from "./output/until-written.ts";
import { runProgramOnce } from "./program.ts";

/** 128 + SIGINT, as shells count. */
const INTERRUPTED_EXIT_CODE = 130;
/** Within this time a second signal is the same request: npm passes Ctrl-C on to a child that the terminal told already. */
const SAME_REQUEST_MS = 1_000;

allowHeapGrowth();
const environment = readEnvironment(process.env, { uid: process.getuid?.() ?? -1, home: homedir() });
// Only this process has the lifeline and was given the token: what it starts inherits neither.
delete process.env["HARDSHARE_LIFELINE"];
delete process.env["HARDSHARE_TOKEN"];

const commandName = commandNameOf(process.argv[1] ?? "");
const interruption = new AbortController();
let firstAskedMs = 0;
let exitCode: number | undefined;
function interrupt(): void {
  if (exitCode !== undefined) process.exit(exitCode); // all is done: somebody does not read our output
  if (interruption.signal.aborted && performance.now() - firstAskedMs > SAME_REQUEST_MS) process.exit(INTERRUPTED_EXIT_CODE);
  if (!interruption.signal.aborted) firstAskedMs = performance.now();
  interruption.abort();
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, interrupt);
const hangUps = new HangUps(interrupt);
process.on("SIGHUP", () => hangUps.handle());
watchLifeline(environment.hasLifeline, () => interruption.abort());

// The reader of our output may go away at any time; a supervisor's end must not stop the orderly end of its children.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
process.on("uncaughtException", (error) => {
  tellFailure(error, process.stderr, { commandName, isJson: false, isVerbose: process.argv.includes("--verbose") });
  process.exit(1);
});

exitCode = await runProgramOnce({
  args: process.argv.slice(2),
  environment,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  selfCommand: [process.execPath, ...process.execArgv, process.argv[1] ?? ""],
  commandName,
  interrupted: interruption.signal,
  onHangUp: (take) => hangUps.onHangUp(take),
  onCutAsked: (cut) => listenTo(process, "SIGUSR2", cut),
  clock: systemClock,
  random: systemRandom,
});
await Promise.all([untilWritten(process.stdout), untilWritten(process.stderr)]);
process.exit(exitCode);
