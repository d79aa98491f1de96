import type { Database, DeploymentStatus, Transaction } from "@hardshare/db";
import { AppError, DeploymentId, parseWith } from "@hardshare/protocol";
import * as z from "zod";

const Path = z.object({ id: DeploymentId });

/** The deployment id in a path `/…/:id`. @throws AppError `bad_input` when it is no UUID */
export function deploymentIdIn(params: unknown): DeploymentId {
  return parseWith(Path, params, "path").id;
}

function deploymentNotFound(id: string): AppError {
  return new AppError("not_found", "no workspace deployment found with given ID", { details: { field: "id", id } });
}

/** @throws AppError `not_found` */
export async function getDeployment(database: Database, tx: Transaction, id: DeploymentId): Promise<DeploymentStatus> {
  const deployment = await database.deployments.get(tx, id);
  if (deployment === null) throw deploymentNotFound(id);
  return deployment;
}
