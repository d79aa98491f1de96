import { type Contract, toAppError } from "@hardshare/protocol";
import { loadContract } from "../contract/load-contract.ts";
import { contractFile, readHostConfig } from "./host-config.ts";

/** A deployment of this host, as its files say. */
export interface LocalDeployment {
  id: string;
  owner: string | null;
  /** Contract file. */
  file: string;
  /** Null when it can't be read. */
  contract: Contract | null;
  /** Why not. */
  problem: string | null;
}

/** The deployments in the configuration of this host. @throws AppError `not_configured`, `config_invalid` (of the configuration) */
export async function localDeployments({ home }: { home: string }): Promise<LocalDeployment[]> {
  const { deployments } = await readHostConfig(home);
  return Promise.all(
    deployments.map(async (deployment) => {
      const file = contractFile(home, deployment);
      const facts = { id: deployment.id, owner: deployment.owner ?? null, file };
      try {
        return { ...facts, contract: (await loadContract(file)).contract, problem: null };
      } catch (error) {
        return { ...facts, contract: null, problem: toAppError(error).message };
      }
    }),
  );
}
