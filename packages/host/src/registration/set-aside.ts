import { rename } from "node:fs/promises";
import type { DeploymentId } from "@hardshare/protocol";
import { isMap, isSeq } from "yaml";
import { contractFile, editHostConfig, readHostConfig } from "./host-config.ts";

/**
 * Takes a deployment that was dissolved out of this host's configuration. Its contract is kept beside the others, under
 * another name. Repeating it changes nothing.
 * @returns where the contract is kept; undefined when the configuration does not name the deployment, or its contract is
 *   missing or another deployment's too
 * @throws AppError `not_configured`, `config_invalid`
 */
export async function setAside(home: string, id: DeploymentId): Promise<string | undefined> {
  const { deployments } = await readHostConfig(home);
  const deployment = deployments.find((each) => each.id === id);
  if (deployment === undefined) return undefined;
  await editHostConfig(home, (document) => {
    const list = document.get("deployments");
    const isMeant = (item: unknown) => isMap(item) && String(item.get("id")).toLowerCase() === id;
    if (isSeq(list)) list.items = list.items.filter((item) => !isMeant(item));
  });
  const file = contractFile(home, deployment);
  if (deployments.some((other) => other !== deployment && contractFile(home, other) === file)) return undefined;
  const kept = `${file}.dissolved`;
  return rename(file, kept).then(
    () => kept,
    () => undefined, // there was none
  );
}
