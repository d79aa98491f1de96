import { hostname } from "node:os";
import { AppError, DeploymentId, parseWith } from "@hardshare/protocol";
import { readTextIfThere } from "@hardshare/runtime";
import { findCredentials } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

interface RegisterFlags {
  type?: string;
  desc?: string;
  contract?: string;
  permitMore?: boolean;
  id?: string;
}

export const addRegister: AddVerb = (program, shell) => {
  program
    .command("register")
    .summary("register a deployment of this host")
    .description(
      "Registers a deployment: this host's robot, as others will find it. You become its owner; until you permit others, only you can launch.\n" +
        "Where `hardshare init` was not run yet, it does that first.",
    )
    .option("--type <type>", "workspace type: small letters, digits and '_'")
    .option("--desc <text>", "a few words for people")
    .option("--contract <file>", "copy this contract; otherwise one with everything commented out")
    .option("--id <id>", "register it under this id: one that was imported, or whose contract is here already")
    .option("--permit-more", "allow another one beside those that this host has")
    .action(
      runs(shell, async ({ context, options, output }, flags: RegisterFlags) => {
        const contract = flags.contract === undefined ? undefined : await readContract(flags.contract);
        const { url, token } = await findCredentials(context, options);
        const { registerDeployment } = await import("@hardshare/host");
        const registered = await registerDeployment({
          home: context.environment.home,
          server: url,
          token,
          id: flags.id === undefined ? undefined : parseWith(DeploymentId, flags.id.toLowerCase(), "--id"),
          type: flags.type,
          desc: flags.desc,
          contract,
          contractName: flags.contract,
          name: hostname(),
          permitMore: flags.permitMore,
        });
        output.result(registered, () =>
          [
            `deployment ${registered.id} of ${registered.owner} was registered; its contract is ${registered.contract}`,
            `\`hardshare ad\` offers it, \`hardshare rules --permit USER\` lets others launch`,
          ].join("\n"),
        );
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare register --server https://robots.example.org --token-file my.token", "on a computer where nothing is set up yet"],
        ["hardshare register --type fixed_misty2 --desc 'Misty in the lab'", "the first deployment of this host"],
        ["hardshare register --permit-more --contract arm.yaml", "another one, with this contract"],
      ),
    );
};

async function readContract(path: string): Promise<string> {
  const text = await readTextIfThere(path);
  if (text !== undefined) return text;
  throw new AppError("bad_input", `--contract: there is no file ${path}`, { details: { field: "contract" } });
}
