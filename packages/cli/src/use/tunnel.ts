import type { Duplex } from "node:stream";
import type { CliContext } from "../context.ts";
import { findCredentials } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

/** Milliseconds of silence after which a tunnel whose input has ended is closed. */
const LAST_SILENCE_MS = 10_000;

export const addTunnel: AddVerb = (program, shell) => {
  program
    .command("tunnel")
    .summary("carry standard input and output to an instance")
    .description(
      "Carries one connection to an instance through the server's port. Made for ssh's ProxyCommand; `ssh` and `forward` use it.",
    )
    .argument("<instance>", "whole id of the instance")
    .action(
      runs(shell, async ({ context, options }, _options, instanceId: string) => {
        const { url, token } = await findCredentials(context, options);
        const { openTunnel } = await import("@hardshare/client/node");
        const tunnel = await openTunnel({ url, token, instanceId, signal: context.interrupted });
        await carry(context, tunnel);
      }),
    )
    .addHelpText("after", examples(["ssh -o ProxyCommand='hardshare tunnel %h' root@INSTANCE", "what `hardshare ssh` does"]));
};

async function carry(context: CliContext, tunnel: Duplex): Promise<void> {
  const { stdin, stdout, clock } = context;
  let failure: Error | undefined;
  const closed = new Promise<void>((resolve) => tunnel.once("close", resolve));
  tunnel.once("error", (error) => (failure = error));
  // Who reads our output is gone: nobody is left to carry for.
  stdout.once("error", () => tunnel.destroy());
  let silence: Disposable | undefined;
  const watch = () => {
    silence?.[Symbol.dispose]();
    silence = clock.after(LAST_SILENCE_MS, () => tunnel.destroy());
  };
  stdin.once("end", () => {
    watch();
    tunnel.on("data", watch);
  });
  stdin.pipe(tunnel);
  tunnel.pipe(stdout, { end: false });
  await closed;
  silence?.[Symbol.dispose]();
  if (failure !== undefined) throw failure;
}
