import { describeRest, type Rest } from "@hardshare/protocol";
import { openAccess } from "../login/credentials.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

/** `free`, or until when nobody can launch it, or why. */
function describeFree(resting: Rest | undefined): string {
  return resting === undefined ? "free" : `resting ${describeRest(resting)}`;
}

export const addSearch: AddVerb = (program, shell) => {
  program
    .command("search")
    .summary("list deployments")
    .description("Lists the deployments whose id, type or description contains QUERY, or all.")
    .argument("[query]", "text to look for")
    .action(
      runs(shell, async ({ context, options, output }, _options, query?: string) => {
        const { client } = await openAccess(context, options);
        const { info = {} } = await client.deployments(query === undefined ? {} : { q: query });
        const found = Object.entries(info).map(([id, facts]) => ({ id, ...facts }));
        output.result(found, () =>
          found.length === 0
            ? `no deployment${query === undefined ? "" : ` matches "${query}"`}`
            : formatTable(
                ["ID", "TYPE", "STATE", "PROVIDER", "OWNER", "DESCRIPTION"],
                found.map((it) => [
                  it.id,
                  it.type,
                  it.locked ? "locked" : !it.online ? "offline" : it.queuelen > 0 ? "busy" : describeFree(it.resting),
                  it.provider ?? "",
                  it.owner,
                  it.desc ?? "",
                ]),
              ),
        );
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare search", "all deployments"], ["hardshare search misty", "those with misty in id, type or description"]),
    );
};
