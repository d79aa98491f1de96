import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { DeploymentId } from "@hardshare/protocol";
import { makePrivateFolder, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import * as z from "zod";
import { type LoadedContract, parseContract } from "../contract/load-contract.ts";
import { servicesAlone } from "./trial-contract.ts";

const Mark = z.object({ text: z.string(), file: z.string(), folder: z.string(), isWhole: z.boolean() });

/** What a trial is made of. */
export interface TrialPlan {
  loaded: LoadedContract;
  /** All steps of an instance; else its services alone, and nothing is moved. */
  isWhole: boolean;
}

/** Folder of what a trial keeps on disk. Its mark says, after a crash, what is to be undone, as the journal does for instances. */
export function trialFolder(stateFolder: string, deploymentId: DeploymentId): string {
  return join(stateFolder, "trials", deploymentId);
}

/** Says durably that a trial begins. */
export async function markTrial(folder: string, { loaded: { text, file, folder: place }, isWhole }: TrialPlan): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await makePrivateFolder(folder);
  await writeFileDurably(join(folder, MARK), JSON.stringify({ text, file, folder: place, isWhole } satisfies z.infer<typeof Mark>));
}

/** What a trial that was killed was made of; undefined when none was. @throws when it cannot be read */
export async function findMarkedTrial(folder: string): Promise<TrialPlan | undefined> {
  const text = await readTextIfThere(join(folder, MARK));
  if (text === undefined) return undefined;
  const mark = Mark.parse(JSON.parse(text));
  return { loaded: parseContract(mark.text, mark.file, mark.folder), isWhole: mark.isWhole };
}

/** What is run in a trial. */
export function contractOf({ loaded, isWhole }: TrialPlan): LoadedContract {
  return isWhole ? loaded : servicesAlone(loaded);
}

const MARK = "trial.json";
