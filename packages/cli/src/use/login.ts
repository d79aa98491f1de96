import { normaliseServerUrl } from "@hardshare/client";
import { AppError } from "@hardshare/protocol";
import { readLogin, removeLogin, writeLogin } from "../login/login-store.ts";
import { readTokenFile } from "../login/token-file.ts";
import { clientFor, openAccess } from "../login/credentials.ts";
import { formatFacts } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

/** Where a server is looked for when none was ever named. */
const DEFAULT_SERVER = "http://127.0.0.1:8484";

export const addLogin: AddVerb = (program, shell) => {
  program
    .command("login")
    .summary("sign in with a token file")
    .description("Sign in: checks the token with the server and keeps a copy of it, readable by you alone.")
    .action(
      runs(shell, async ({ context, options, output }) => {
        if (options.tokenFile === undefined) {
          throw new AppError("bad_input", "login needs --token-file FILE: `hardshare admin token USER --out FILE` makes one", {
            details: { field: "token-file" },
          });
        }
        const { environment } = context;
        const known = await readLogin(environment.home);
        const url = normaliseServerUrl(options.server ?? environment.server ?? known?.server ?? DEFAULT_SERVER);
        const token = await readTokenFile(options.tokenFile);
        const { user, expires } = await clientFor({ url, token }).whoami();
        await writeLogin(environment.home, { server: url, user }, token);
        output.result({ user, server: url, expires }, () => `signed in as ${user} at ${url}, until ${expires}`);
      }),
    )
    .addHelpText("after", examples(["hardshare login --server http://127.0.0.1:8484 --token-file my.token", "sign in at this server"]));
};

export const addLogout: AddVerb = (program, shell) => {
  program
    .command("logout")
    .summary("forget the login")
    .description("Removes the copy of the token from this computer. (The token itself stays valid.)")
    .action(
      runs(shell, async ({ context, output }) => {
        const known = await readLogin(context.environment.home);
        await removeLogin(context.environment.home);
        output.result({ server: known?.server ?? null }, () =>
          known === undefined ? "nobody was signed in" : `signed out of ${known.server}`,
        );
      }),
    )
    .addHelpText("after", examples(["hardshare logout", "forget server and token"]));
};

export const addWhoami: AddVerb = (program, shell) => {
  program
    .command("whoami")
    .summary("show who is signed in, where, and until when")
    .action(
      runs(shell, async ({ context, options, output }) => {
        const { client, url } = await openAccess(context, options);
        const me = await client.whoami();
        output.result({ ...me, server: url }, () =>
          formatFacts([
            ["user", me.user],
            ["organisation", me.org ?? undefined],
            ["superuser", me.superuser ? "yes" : undefined],
            ["token expires", me.expires],
            ["server", url],
          ]),
        );
      }),
    )
    .addHelpText("after", examples(["hardshare whoami --format json", "the same for a program"]));
};
