import { once } from "node:events";
import { createInterface } from "node:readline";
import { type AddVerb, runs } from "../verb.ts";
import { addFilterKinds } from "./filter-kinds.ts";
import { addFilterRules } from "./filter-rules.ts";

export const addFilter: AddVerb = (program, shell) => {
  const filter = program.command("filter").summary("run a filter by hand, try its rules, propose rules");
  const run = filter
    .command("run")
    .summary("run a filter")
    .description(
      "Runs a filter. It prints host:port on its first line, then serves; on standard error it writes its decisions and\n" +
        "signs of life as lines of JSON. SIGHUP has it read its rules again: all of them, or, when something is wrong, none.\n" +
        "SIGUSR2 has it cut all connections, and drop what it had read of them; it then serves at the port it was given or,\n" +
        "without one, at another, which it tells.",
    );
  addFilterKinds(run, shell);
  addFilterRules(filter, shell);

  filter
    .command("spare", { hidden: true })
    .description(
      "loads what filters need, waits for the arguments of a `filter run` as one line of JSON, and runs it; ends with its standard input",
    )
    .action(
      runs(shell, async ({ context }) => {
        await import("@hardshare/filters");
        const gone = new AbortController();
        const lines = createInterface(context.stdin).once("close", () => gone.abort());
        const interrupted = AbortSignal.any([context.interrupted, gone.signal]);
        const args = await once(lines, "line", { signal: interrupted }).then(
          ([line]) => JSON.parse(String(line)) as string[],
          () => undefined, // nobody needed it
        );
        return args === undefined ? 0 : shell.runAgain(["filter", "run", ...args], interrupted);
      }),
    );
};
