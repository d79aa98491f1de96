import { AppError } from "@hardshare/protocol";
import type { Logger } from "@hardshare/runtime";
import { hasImage } from "../image/has-image.ts";
import { contractFile, readHostConfig } from "../registration/host-config.ts";
import { editContract } from "./edit-contract.ts";
import { planChanges, type RequestedChanges } from "./requested-changes.ts";

export interface ChangeDeploymentOptions {
  /** `$HARDSHARE_HOME`. */
  home: string;
  /** `$HARDSHARE_STATE`. */
  state: string;
  /** Id of a deployment of this host. */
  id: string;
  requested: RequestedChanges;
  /** The folder from which relative paths count. */
  cwd: string;
  /** What podman inherits, and what says where Docker listens. */
  environment: Readonly<Record<string, string | undefined>>;
  logger: Logger;
  signal: AbortSignal;
}

export interface ChangedDeployment {
  id: string;
  /** Its contract file. */
  contract: string;
  isChanged: boolean;
  /** Scripts and rules files that the contract names now, beside it. */
  files: string[];
}

/**
 * Changes the contract of a deployment of this host, as a person asks: all of it or nothing.
 * @throws AppError `bad_input` that names the flag, `image_missing`, and what `editContract` throws
 */
export async function changeDeployment(options: ChangeDeploymentOptions): Promise<ChangedDeployment> {
  const { home, state, id, requested, cwd, environment, logger, signal } = options;
  const deployment = (await readHostConfig(home)).deployments.find((it) => it.id === id);
  if (deployment === undefined) throw new AppError("not_found", `deployment ${id} is not in the configuration of this host`);
  const file = contractFile(home, deployment);
  const { changes, filesBeside } = await planChanges(requested, { cwd, contractFile: file });
  const { assignImage: image } = requested;
  const edited = await editContract(file, changes, {
    filesBeside,
    check: async ({ provider }) => {
      if (image === undefined || provider === "proxy") return;
      if (await hasImage(image, { provider, folder: state, environment: { ...environment }, logger }, signal)) return;
      throw new AppError(
        "image_missing",
        `--assign-image: ${provider} has no image ${image} here: build it, or \`${provider} pull ${image}\``,
      );
    },
  });
  return { id, contract: file, isChanged: edited.isChanged, files: edited.isChanged ? filesBeside.map(({ name }) => name) : [] };
}
