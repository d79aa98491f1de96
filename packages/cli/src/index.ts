/**
 * The command `hardshare`: verbs of people who use robots, share them, or run the infrastructure. Only `main.ts` touches
 * the process; everything else takes a `CliContext`, so that the documentation is generated from the same program.
 */
export type { CliContext } from "./context.ts";
export { buildProgram } from "./program.ts";
