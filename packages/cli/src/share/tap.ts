import { AppError } from "@hardshare/protocol";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { printable } from "../output/printable.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

export const addTap: AddVerb = (program, shell) => {
  program
    .command("tap")
    .summary("show what went through a tapped service")
    .description(
      "Shows what went through the services with `tap: true` of an instance on this host, the newest unless told otherwise:\n" +
        "each chunk with its time, its connection and its direction (→ to the device, ← from it). The last 8 to 16 MB of each\n" +
        "service and the last 10 instances are kept. --format json shows the bytes as they were.",
    )
    .argument("[instance]", "id of an instance, or its beginning")
    .option("--service <name>", "only this service")
    .action(
      runs(shell, async ({ context, output }, flags: { service?: string }, text?: string) => {
        const { readTaps, tappedInstances } = await import("@hardshare/host");
        const { state } = context.environment;
        const ids = await tappedInstances(state);
        const id =
          text === undefined
            ? ids[0]
            : chooseByPrefix(
                text,
                ids.map((id) => ({ ids: [id], id })),
                NOUNS,
              ).id;
        if (id === undefined) throw new AppError("not_found", `there is no tap; ${NOUNS.whenNone}`);
        for await (const { service, record } of readTaps({ state, instanceId: id, service: flags.service })) {
          output.result({ service, ...record }, () => {
            const { at, connection, direction, text, base64, missing } = record;
            const content = text ?? Buffer.from(base64 ?? "", "base64").toString("latin1");
            const gap = missing === undefined ? "" : `… ${missing} bytes are missing here\n`;
            return `${gap}${at} ${service}#${connection} ${direction === "in" ? "→" : "←"} ${printable(content, true).replaceAll("\n", "⏎")}`;
          });
          if (context.interrupted.aborted) break;
        }
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare tap", "the newest instance"], ["hardshare tap 3f2a --service ARM --format json", "for a program"]),
    );
};

const NOUNS = { noun: "instance with a tap", whenNone: "set `tap: true` for a service in the contract; it holds for the next instance" };
