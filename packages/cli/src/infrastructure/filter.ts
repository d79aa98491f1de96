import { once } from "node:events";
import { createInterface } from "node:readline";
import { readPort } from "../read-port.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { programLogger } from "./serving.ts";

interface HttpFlags {
  target: string;
  rules: string;
  host: string;
  port: number;
  reportAllowed?: boolean;
}

export const addFilter: AddVerb = (program, shell) => {
  const filter = program.command("filter").summary("run a filter by hand");
  const run = filter.command("run").description("run a filter: it prints host:port on its first line, then serves");
  run
    .command("http")
    .description("judges HTTP requests by rules before they reach a device; writes its decisions to standard error")
    .requiredOption("--target <host:port>", "the device")
    .requiredOption("--rules <file>", "its rules")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 for a free one", readPort, 0)
    .option("--report-allowed", "write down allowed requests too, not only refused ones")
    .action(
      runs(shell, async ({ context, options }, flags: HttpFlags) => {
        const { runHttpFilter } = await import("@hardshare/filters");
        await runHttpFilter({
          target: flags.target,
          rulesFile: flags.rules,
          host: flags.host,
          port: flags.port,
          stdout: context.stdout,
          stderr: context.stderr,
          reportsAllowed: flags.reportAllowed === true,
          signal: context.interrupted,
          clock: context.clock,
          logger: programLogger("filter", options),
        });
      }),
    )
    .addHelpText("after", examples(["hardshare filter run http --target 192.168.1.134:80 --rules robot.rules.yaml", "try rules out"]));
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
