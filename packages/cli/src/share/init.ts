import { normaliseServerUrl } from "@hardshare/client";
import { readLogin } from "../login/login-store.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

export const addInit: AddVerb = (program, shell) => {
  program
    .command("init")
    .summary("set this computer up as a host")
    .description("Makes the configuration of this host and its identity key, by which the server will know it.")
    .action(
      runs(shell, async ({ context, options, output }) => {
        const { home, server: variable } = context.environment;
        const given = options.server ?? variable ?? (await readLogin(home))?.server;
        const server = given === undefined ? undefined : normaliseServerUrl(given);
        const { initHost } = await import("@hardshare/host");
        const { fingerprint } = await initHost({ home, server });
        output.result(
          { home, server: server ?? null, fingerprint },
          () =>
            `this computer is a host now: its configuration is in ${home}, its identity key is ${fingerprint}\n\`hardshare register\` adds a deployment`,
        );
      }),
    )
    .addHelpText("after", examples(["hardshare init --server https://robots.example.org", "and name the server that it serves"]));
};
