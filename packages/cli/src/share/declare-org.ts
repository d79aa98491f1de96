import { chooseOrganisation } from "../login/choose-organisation.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

export const addDeclareOrg: AddVerb = (program, shell) => {
  program
    .command("declare-org")
    .summary("act for an organisation, or for none")
    .description(
      "Uses the token of an organisation from now on, one of those that `hardshare config --add-token` keeps: what is\n" +
        "registered then belongs to it. Without a name, the token of no organisation.",
    )
    .argument("[org]", "name of the organisation; left out: none")
    .action(
      runs(shell, async ({ context, output }, _options, name?: string) => {
        const org = name === undefined || name === "" || name === "()" ? null : name;
        const chosen = await chooseOrganisation({ home: context.environment.home, org, nowMs: context.clock.now() });
        output.result(
          { ...chosen, expires: chosen.expires.toISOString() },
          () => `acting as ${chosen.user}${chosen.org === null ? ", for no organisation" : ` for ${chosen.org}`}`,
        );
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare declare-org bench", "what you register belongs to bench"], ["hardshare declare-org", "to you"]),
    );
};
