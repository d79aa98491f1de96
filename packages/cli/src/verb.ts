import type { Command } from "commander";
import type { CliContext, GlobalOptions, Invocation } from "./context.ts";
import { tellFailure } from "./output/failure.ts";
import { Output } from "./output/output.ts";

/** Adds one verb, or a group of them, to the program. */
export type AddVerb = (program: Command, shell: Shell) => void;

/** What verbs are added with: what they work with, and where they leave their exit code. */
export interface Shell {
  context: CliContext;
  setExitCode(code: number): void;
  /** Runs the whole program with other arguments. @returns its exit code */
  runAgain(args: readonly string[], interrupted: AbortSignal): Promise<number>;
}

type Handle<Options, Arguments extends unknown[]> = (
  invocation: Invocation,
  options: Options,
  ...positional: Arguments
) => Promise<number | void>;

/** The action of a verb: gives `handle` its invocation, its options and its arguments, and keeps the exit code it returns. */
export function runs<Options, Arguments extends unknown[]>(
  shell: Shell,
  handle: Handle<Options, Arguments>,
): (...received: unknown[]) => Promise<void> {
  return async (...received) => {
    const command = received.at(-1) as Command;
    const options = command.optsWithGlobals<GlobalOptions & Options>();
    const { context } = shell;
    const output = new Output({
      stdout: context.stdout,
      stderr: context.stderr,
      format: options.format,
      commandName: context.commandName,
      hasColours: context.stderr.isTTY === true && !context.environment.isColourless,
    });
    const tell: Invocation["tell"] = (error, how = {}) =>
      tellFailure(error, context.stderr, {
        ...how,
        commandName: context.commandName,
        isJson: options.format === "json",
        isVerbose: options.verbose === true,
      });
    const positional = received.slice(0, -2) as Arguments;
    shell.setExitCode((await handle({ context, options, output, tell }, options, ...positional)) ?? 0);
  };
}

/** The examples at the end of a verb's help: what to type, and what it does. */
export function examples(...lines: readonly (readonly [command: string, does: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  return `\nExamples:\n${lines.map(([command, does]) => `  $ ${command.padEnd(width)}  # ${does}`).join("\n")}\n`;
}
