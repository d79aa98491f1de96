import { writeFile } from "node:fs/promises";
import type { TriedMessage } from "@hardshare/filters";
import { AppError } from "@hardshare/protocol";
import type { Command } from "commander";
import { printable } from "../output/printable.ts";
import { examples, runs, type Shell } from "../verb.ts";

/** Verbs that help to write filter rules: none of them needs hardware. */
export function addFilterRules(filter: Command, shell: Shell): void {
  filter
    .command("test")
    .summary("try rules on messages, without hardware")
    .description(
      "Tells for each message what the filter decides, by which rule and why, and what would reach the device.\n" +
        "A message is, for http and rpc, `METHOD /path [body]`, `WS /path message`, or @FILE with one in each line (also as JSON with\n" +
        "method, path and body), or with a raw request; for rosbridge, `OPERATION /name [type] [message]`, or the operation\n" +
        "as JSON; for serial, a line without its end (\\x18 for a byte); for tcp, the address of a peer; for mqtt, `publish [-q QOS] [-r] TOPIC [PAYLOAD]`, `will …`, `subscribe FILTER`,\n" +
        "a packet as JSON, or hex5 and its bytes.",
    )
    .argument("<rules>", "file of filter rules")
    .argument("<messages...>", "messages, or @FILE with messages")
    .option("--filter <kind>", "kind of the filter, when the rules do not tell it")
    .action(
      runs(shell, async ({ context, output }, flags: { filter?: string }, rulesFile: string, messages: string[]) => {
        const { tryMessages } = await import("@hardshare/filters");
        const tried = tryMessages({ rulesFile, messages, kind: flags.filter, clock: context.clock });
        for await (const each of tried) output.result(each, () => describeTried(each));
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare filter test robot.rules.yaml 'POST /api/drive {\"speed\": 20}'", "one request"],
        ["hardshare filter test robot.rules.yaml @requests.txt --format json", "many, for a program"],
      ),
    );
  filter
    .command("learn")
    .summary("propose rules from what was recorded")
    .description(
      "Writes a rules file that lets through what a filter recorded with --decisions, and blocks the rest: a rule for each\n" +
        "method and path (or operation and name), with the ranges that were seen. Record with `mode: shadow`, which blocks nothing; bodies are recorded\n" +
        "where a rule judges them (`body: true` judges that it is JSON).",
    )
    .requiredOption(
      "--from <decisions>",
      "file that `filter run --decisions` wrote, or the host for a service with `tap: true`: $HARDSHARE_STATE/taps/INSTANCE/SERVICE.decisions",
    )
    .option("--to <rules>", "file to write, which must not be there; default: standard output")
    .action(
      runs(shell, async ({ context }, flags: { from: string; to?: string }) => {
        const { learnRules } = await import("@hardshare/filters");
        const rules = await learnRules(flags.from);
        if (flags.to === undefined) context.stdout.write(rules);
        else await writeNew(flags.to, rules);
      }),
    )
    .addHelpText("after", examples(["hardshare filter learn --from decisions.jsonl --to robot.rules.yaml", "a first proposal"]));
}

/** @throws AppError when it is there already: it may be the rules in force */
async function writeNew(file: string, text: string): Promise<void> {
  await writeFile(file, text, { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "EEXIST" ? "it is there already; name another file, or remove it" : error.message;
    throw new AppError("bad_input", `cannot write ${file}: ${why}`, { details: { field: "to" }, cause: error });
  });
}

function describeTried({ message, decisions, reached }: TriedMessage): string {
  const lines = decisions.map(({ direction, decision, mode, rule, because }) => {
    const way = direction === "out" ? " (from the device)" : "";
    const trial = mode === "shadow" && decision === "block" ? " (shadow: passes all the same)" : "";
    const reason = because === undefined ? "" : ` because ${because}`;
    return `  ${decision}${way}${trial} by ${rule}${reason}`;
  });
  if (lines.length === 0) lines.push("  no decision: the message is not complete");
  const passed = reached.filter((each) => each !== message).map((each) => `  reaches the device as ${each}`);
  return [message, ...lines, ...passed].map((line) => printable(line)).join("\n");
}
