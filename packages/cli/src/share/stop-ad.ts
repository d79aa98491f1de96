import { type AddVerb, examples, runs } from "../verb.ts";

export const addStopAd: AddVerb = (program, shell) => {
  program
    .command("stop-ad")
    .summary("stop offering deployments of this host")
    .description(
      "Stops offering a deployment of this host, or all: nothing new is launched. Waits until a running instance has ended;\n" +
        "with --now it is ended. After the last one the host daemon ends.",
    )
    .argument("[id]", "id of a deployment of this host, or its beginning; otherwise all")
    .option("--now", "end running instances")
    .action(
      runs(shell, async ({ context, output }, flags: { now?: boolean }, id?: string) => {
        const { stopAdvertising } = await import("@hardshare/host");
        if (flags.now !== true) output.progress("waiting until running instances have ended (--now ends them; Ctrl-C stops waiting)");
        const { stopped } = await stopAdvertising({
          state: context.environment.state,
          id,
          now: flags.now === true,
          signal: context.interrupted,
        });
        output.result({ deployments: stopped }, () =>
          stopped.length === 0 ? "nothing was offered" : `no longer offering ${stopped.join(", ")}`,
        );
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare stop-ad", "no new instances; the running one goes on"],
        ["hardshare stop-ad --now", "take the robot back at once"],
      ),
    );
};
