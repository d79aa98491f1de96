import type { ReloadedDeployment } from "@hardshare/host";
import { type AddVerb, examples, runs } from "../verb.ts";

export const addReload: AddVerb = (program, shell) => {
  program
    .command("reload")
    .summary("read contracts and filter rules again")
    .description(
      "Has the host daemon read contracts and rules files again. Filter rules hold at once, also for the instance that runs;\n" +
        "a contract holds for the next one. All files are checked first: when anything is wrong in any of them, the file, line\n" +
        "and field are told, and all filters go on with the rules they have.",
    )
    .argument("[id]", "id of a deployment of this host, or its beginning; otherwise all")
    .action(
      runs(shell, async ({ context, output }, _options, id?: string) => {
        const { reloadFiles } = await import("@hardshare/host");
        const reloaded = await reloadFiles({ state: context.environment.state, id, signal: context.interrupted });
        output.result({ deployments: reloaded }, () => reloaded.flatMap(describe).join("\n"));
        return reloaded.some(({ rules }) => rules.some(({ problem }) => problem !== null)) ? 1 : 0;
      }),
    )
    .addHelpText("after", examples(["hardshare reload", "after a change of a rules file"]));
};

function describe({ id, contract, instance, isContractNewer, rules }: ReloadedDeployment): string[] {
  return [
    `${id}: ${contract} holds for the next instance${instance === null || isContractNewer ? "" : ", and is what the one that runs began with"}`,
    ...rules.map(({ service, file, problem }) =>
      problem === null ? `${service}: the rules of ${file} are in force` : `${service}: the rules before stay in force: ${problem}`,
    ),
  ];
}
