import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { AppError, type DeploymentId, toAppError } from "@hardshare/protocol";
import { type Clock, makePrivateFolder, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { writeSchemaFiles } from "../contract/schema-files.ts";
import { contractFile } from "../registration/host-config.ts";
import { initHost, isHost, undoInit } from "../registration/init-host.ts";
import { type ConvertedDeployment, convertDeployment } from "./convert-deployment.ts";
import { type ReadConfiguration, readOldConfiguration } from "./old-configuration.ts";

export interface ImportOptions {
  /** Folder of the existing host client, or its file `main`. */
  from: string;
  /** `$HARDSHARE_HOME`. */
  home: string;
  /** Whom this host will serve, when it is not set up yet. */
  server?: string | undefined;
  /** The current folder: relative paths of rules files count from it. */
  cwd: string;
  clock: Clock;
}

export interface Imported {
  deployments: { id: DeploymentId; contract: string; isKept: boolean; notes: string[] }[];
  tokens: { name: string; file: string | null; problem: string | null }[];
  defaultOrg: string | null;
  warnings: string[];
}

/**
 * Takes over the configuration of the existing host client: makes this computer a host, if it is none, and writes a
 * contract for each deployment, under its id, and copies of the tokens. First all is read and checked; nothing that is
 * there is replaced, and what was written is removed when something can't be. The configuration it reads stays as it is.
 * @throws AppError `not_found`, `config_invalid` with all that is wrong
 */
export async function importConfiguration(options: ImportOptions): Promise<Imported> {
  const { from, home, server, cwd, clock } = options;
  const old = await readOldConfiguration(from, clock.now());
  const converted = await convertAll(old, cwd, clock);
  const hadHost = await isHost(home);
  if (!hadHost) await initHost({ home, server });
  const written: string[] = [];
  try {
    return await writeAll(home, old, converted, written);
  } catch (error) {
    for (const file of written) await rm(file, { force: true });
    if (!hadHost) await undoInit(home);
    throw error;
  }
}

/** @throws AppError `config_invalid` that tells what is wrong with any of them */
async function convertAll(old: ReadConfiguration, cwd: string, clock: Clock): Promise<ConvertedDeployment[]> {
  const problems: string[] = [];
  const converted: ConvertedDeployment[] = [];
  for (const deployment of old.deployments) {
    try {
      const one = await convertDeployment(deployment, { from: old.file, cwd });
      await checkRules(one, clock);
      converted.push(one);
    } catch (error) {
      problems.push(toAppError(error).message);
    }
  }
  if (problems.length > 0)
    throw new AppError("config_invalid", `${problems.join("\n")}\nnothing was imported`, { details: { file: old.file } });
  return converted;
}

async function checkRules({ rules }: ConvertedDeployment, clock: Clock): Promise<void> {
  const { checkRulesFile } = await import("@hardshare/filters");
  for (const { filter, file } of rules) await checkRulesFile({ filter, file, clock });
}

async function writeAll(
  home: string,
  old: ReadConfiguration,
  converted: readonly ConvertedDeployment[],
  written: string[],
): Promise<Imported> {
  /** @returns whether it was written: a file that is there stays */
  async function write(file: string, text: string, mode = 0o600): Promise<boolean> {
    if ((await readTextIfThere(file)) !== undefined) return false;
    written.push(file);
    await writeFileDurably(file, text, mode);
    return true;
  }
  const folder = join(home, "deployments");
  await makePrivateFolder(folder);
  await makePrivateFolder(join(home, "tokens"));
  await writeSchemaFiles(home);
  const deployments: Imported["deployments"] = [];
  for (const { id, contract, files, notes } of converted) {
    const file = contractFile(home, { id });
    const isKept = (await readTextIfThere(file)) !== undefined;
    if (!isKept) for (const { name, text, mode } of files) await write(join(folder, name), text, mode);
    await write(file, contract);
    deployments.push({ id, contract: file, isKept, notes });
  }
  const tokens: Imported["tokens"] = [];
  for (const { name, token, problem } of old.tokens) {
    const file = join(home, "tokens", basename(name) === "login" ? "login-imported" : basename(name));
    const isWritten = token !== undefined && (await write(file, `${token}\n`));
    const why = problem ?? (isWritten ? null : `${file} is there already`);
    tokens.push({ name, file: isWritten ? file : null, problem: why });
  }
  return { deployments, tokens, defaultOrg: old.defaultOrg, warnings: old.warnings };
}
