import { runLifecycleProgram } from "../programs/run-program.ts";
import type { StepContext } from "./execute.ts";
import type { InstanceParts } from "./instance-parts.ts";
import { type ProgramEvent, runProgramList } from "./lifecycle-programs.ts";

/** Runs the programs of one list of the contract on the host. @throws AppError as `runProgramList` does */
export async function runHostPrograms(
  parts: InstanceParts,
  event: Exclude<ProgramEvent, "init_inside">,
  context: StepContext,
): Promise<void> {
  const place = parts.placeFor(event);
  await runProgramList(
    event,
    parts.contract[event],
    (program) => runLifecycleProgram(program, { place, clock: parts.tools.clock, signal: context.signal, onOutput: context.log }),
    (message) => parts.events.warn(message),
  );
}
