import { isFinalState } from "@hardshare/protocol";
import { LaunchFolders } from "../launches/launch-folder.ts";
import { openAccess } from "../login/credentials.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { timeLeft } from "./time-left.ts";

export const addInstances: AddVerb = (program, shell) => {
  program
    .command("instances")
    .summary("list your instances")
    .option("--all", "also those that have ended")
    .action(
      runs(shell, async ({ context, options, output }, { all }: { all?: boolean }) => {
        const { client } = await openAccess(context, options);
        const list = await client.instances({ includeEnded: all === true });
        const views = await Promise.all(list.map(({ id }) => client.instance(id)));
        const folders = new LaunchFolders(context.environment.state);
        for (const view of views) if (isFinalState(view.status)) await folders.remove(view.id);
        const now = context.clock.now();
        output.result(views, () =>
          views.length === 0
            ? "no instances; launch one with `hardshare launch ID|TYPE`"
            : formatTable(
                ["ID", "DEPLOYMENT", "TYPE", "STATE", "TIME LEFT"],
                views.map((view) => [view.id, view.deployment, view.type, view.status, timeLeft(view, now) ?? ""]),
              ),
        );
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare instances", "what you hold now"], ["hardshare instances --all", "also what you held before"]),
    );
};
