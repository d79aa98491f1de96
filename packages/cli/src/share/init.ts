import { normaliseServerUrl } from "@hardshare/client";
import type { Invocation } from "../context.ts";
import { readLogin } from "../login/login-store.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { importHere } from "./import-here.ts";

export const addInit: AddVerb = (program, shell) => {
  program
    .command("init")
    .summary("set this computer up as a host")
    .description(
      "Makes the configuration of this host and its identity key, by which the server will know it.\n" +
        "With --import it also takes over the configuration of the existing client: a contract for each deployment, under its id,\n" +
        "and copies of the tokens. All is read and checked first; what is there already stays, and ~/.rerobots is not changed.",
    )
    .option("--import <path>", "folder of the existing client, such as ~/.rerobots, or its file main")
    .action(
      runs(shell, async (invocation, flags: { import?: string }) => {
        const server = await serverOf(invocation);
        if (flags.import !== undefined) {
          await importHere(invocation, { from: flags.import, server });
          return;
        }
        const { home } = invocation.context.environment;
        const { initHost } = await import("@hardshare/host");
        const { fingerprint } = await initHost({ home, server });
        invocation.output.result(
          { home, server: server ?? null, fingerprint },
          () =>
            `this computer is a host now: its configuration is in ${home}, its identity key is ${fingerprint}\n\`hardshare register\` adds a deployment`,
        );
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare init --server https://robots.example.org", "and name the server that it serves"],
        ["hardshare init --import ~/.rerobots --server https://robots.example.org", "with what the existing client had"],
      ),
    );
};

async function serverOf({ context, options }: Invocation): Promise<string | undefined> {
  const { home, server } = context.environment;
  const given = options.server ?? server ?? (await readLogin(home))?.server;
  return given === undefined ? undefined : normaliseServerUrl(given);
}
