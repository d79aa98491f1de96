import { type AddVerb, runs } from "../verb.ts";
import { VERSION } from "../version.ts";

export const addVersion: AddVerb = (program, shell) => {
  program
    .command("version")
    .summary("print the version")
    .action(runs(shell, async ({ output }) => output.result({ version: VERSION }, () => VERSION)));
};
