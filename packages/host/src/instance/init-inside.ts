import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { AppError, DEFAULT_PROGRAM_TIMEOUT_S, formatDuration, type LifecycleProgram, toAppError } from "@hardshare/protocol";
import { splitCommand } from "../programs/command-line.ts";
import { ProgramOutput } from "../programs/program-output.ts";
import { INSTANCE_VARIABLE } from "../programs/program-place.ts";
import { containerOf } from "./container-steps.ts";
import type { StepContext } from "./execute.ts";
import type { InstanceParts } from "./instance-parts.ts";
import { type ProgramResult, runProgramList } from "./lifecycle-programs.ts";

/** Folder in the container for programs that lie beside the contract. */
const INSIDE_FOLDER = "/usr/local/lib/hardshare";

/** Runs the contract's `init_inside` programs in the container, as root. */
export async function runInside(parts: InstanceParts, context: StepContext): Promise<void> {
  await runProgramList(
    "init_inside",
    parts.contract.init_inside,
    (program) => runOneInside(parts, program, context),
    (message) => parts.events.warn(message),
  );
}

async function runOneInside(parts: InstanceParts, program: LifecycleProgram, context: StepContext): Promise<ProgramResult> {
  const timeoutS = program.timeout ?? DEFAULT_PROGRAM_TIMEOUT_S;
  using output = new ProgramOutput({ emit: context.log, clock: parts.tools.clock });
  try {
    const argv = await bringInside(parts, program.run, context.signal);
    const engine = await parts.engine();
    const exitCode = await engine.exec(containerOf(parts), argv, {
      env: { [INSTANCE_VARIABLE]: parts.facts.instanceId, HARDSHARE_EVENT: "init_inside", HARDSHARE_USER: parts.facts.user },
      onOutput: (chunk, stream) => output.write(chunk, stream),
      signal: context.signal,
      timeoutMs: timeoutS * 1000,
    });
    if (exitCode === 0) return { isOk: true };
    return { isOk: false, message: `${program.run} ended with exit code ${exitCode}`, log: output.tail };
  } catch (error) {
    if (context.signal.aborted) throw error;
    const failure = toAppError(error);
    const how = failure.code === "timed_out" ? ` took longer than ${formatDuration(timeoutS)} and was killed` : `: ${failure.message}`;
    return { isOk: false, message: `${program.run}${how}`, log: output.tail };
  }
}

/** A program named with `./` or `../` lies beside the contract and is copied in; any other is one of the image. */
async function bringInside(parts: InstanceParts, command: string, signal: AbortSignal): Promise<string[]> {
  const [name = "", ...args] = splitCommand(command);
  if (!name.startsWith("./") && !name.startsWith("../")) return [name, ...args];
  const path = join(parts.facts.loaded.folder, name);
  const content = await readFile(path).catch((cause: unknown) => {
    throw new AppError("program_failed", `the program ${path} cannot be read`, { cause });
  });
  const engine = await parts.engine();
  const file = { path: basename(path), mode: 0o755, uid: 0, gid: 0, content };
  await engine.putFiles(containerOf(parts), "/", [{ ...file, path: `${INSIDE_FOLDER.slice(1)}/${file.path}` }], { signal });
  return [`${INSIDE_FOLDER}/${file.path}`, ...args];
}
