/** The command for tests: by which Node runs it, and the same in this process. Imported by tests alone. */
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { readEnvironment } from "./environment.ts";
import { runProgramOnce } from "./program.ts";

/** Arguments by which Node runs the real program, built by the set-up of tests. */
export const COMMAND: readonly string[] = [fileURLToPath(new URL("../bin/hardshare.js", import.meta.url))];

/** What a run of the program left. */
export interface Ran {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The same program without `main.ts`, in this process: quicker, for verbs that end by themselves. */
export async function runHere(
  args: readonly string[],
  variables: Readonly<Record<string, string | undefined>>,
  user: { readonly uid: number; readonly home: string },
  input = "",
): Promise<Ran> {
  const stdin = new PassThrough();
  stdin.end(input);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const exitCode = await runProgramOnce({
    args,
    environment: readEnvironment(variables, user),
    stdin,
    stdout,
    stderr,
    selfCommand: [process.execPath, ...COMMAND],
    commandName: "hardshare",
    interrupted: new AbortController().signal,
    onHangUp: () => ({ [Symbol.dispose]() {} }),
    onCutAsked: () => ({ [Symbol.dispose]() {} }),
    clock: systemClock,
    random: systemRandom,
  });
  return { exitCode, stdout: String(stdout.read() ?? ""), stderr: String(stderr.read() ?? "") };
}
