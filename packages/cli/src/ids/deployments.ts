import type { HardshareClient } from "@hardshare/client";
import { AppError, type OwnedDeployments, type Parsed, UUID_PATTERN } from "@hardshare/protocol";
import { chooseByPrefix } from "./choose-by-prefix.ts";

const HOW_TO_FIND = "`hardshare search` lists the deployments";

export type OwnedDeployment = Parsed<typeof OwnedDeployments>["wdeployments"][number];

/**
 * What `launch ID|TYPE` means: a workspace type by its whole name, or the id of a deployment by its beginning.
 * @throws AppError `not_found`, `bad_input`
 */
export async function chooseTypeOrDeployment(client: HardshareClient, text: string): Promise<string> {
  if (UUID_PATTERN.test(text)) return text;
  const { workspace_deployments: ids, info = {} } = await client.deployments();
  if (Object.values(info).some((facts) => facts.type === text)) return text;
  if (/^[0-9a-f-]+$/i.test(text)) return chooseByPrefix(text, asChoices(ids), { noun: "deployment", whenNone: HOW_TO_FIND }).ids[0];
  throw new AppError("not_found", `"${text}" is neither a workspace type nor the beginning of a deployment's id: ${HOW_TO_FIND}`, {
    details: { target: text },
  });
}

/** The caller's own deployment that `text` means, or the only one. @throws AppError `not_found`, `bad_input` */
export async function chooseOwnedDeployment(client: HardshareClient, text: string | undefined): Promise<OwnedDeployment> {
  const { wdeployments } = await client.ownedDeployments();
  const kept = wdeployments.filter((deployment) => deployment.dissolved === null);
  return chooseByPrefix(
    text,
    kept.map((deployment) => ({ ...deployment, ids: [deployment.id] })),
    { noun: "deployment", whenNone: "yours are listed by `hardshare list`, and `hardshare register` adds one" },
  );
}

function asChoices(ids: readonly string[]): { ids: [string] }[] {
  return ids.map((id) => ({ ids: [id] }));
}
