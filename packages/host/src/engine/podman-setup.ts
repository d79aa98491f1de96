/**
 * Finds out how podman works on this machine: facts first, then a real container of the machine's own `true`, whose
 * result is kept. Called before podman's service is started and before an image is built.
 */
import { createHash } from "node:crypto";
import { lstat, mkdir, mkdtemp, readlink, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { type Logger, makePrivateFolder, readTextIfThere, runProgram, writeFileDurably } from "@hardshare/runtime";
import { gatherPodmanFacts } from "./podman-facts.ts";
import { podmanCandidates, renderContainersConf } from "./podman-settings.ts";

/** Would send podman's commands to another engine, or tell another program that it is ready. */
const MISLEADING_VARIABLES = new Set(["CONTAINER_HOST", "CONTAINER_CONNECTION", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"]);

/** How to call podman. */
export interface PodmanSetup {
  /** The program's path. */
  podman: string;
  /** The whole environment of the program, with CONTAINERS_CONF where it needs one. */
  environment: NodeJS.ProcessEnv;
}

export interface PodmanSetupOptions {
  /** A folder of the caller's where the settings are kept. */
  folder: string;
  /** The environment that podman inherits. */
  environment: NodeJS.ProcessEnv;
  logger: Logger;
  signal?: AbortSignal | undefined;
}

/** Milliseconds a trial may take; it takes 0.1–0.3 s where containers work. */
const TRIAL_TIMEOUT_MS = 30_000;
/** Folders of programs and libraries: together they are a root file system in which `true` runs. */
const SYSTEM_FOLDERS = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/**
 * Throws `engine_missing` when podman or its runtime is not installed, `engine_failed` with podman's words when no
 * container runs with any setting.
 */
export async function preparePodman(options: PodmanSetupOptions): Promise<PodmanSetup> {
  const { folder, logger, signal } = options;
  const facts = await gatherPodmanFacts(options.environment["PATH"]);
  const candidates = podmanCandidates(facts);
  const podman = facts.podman ?? "podman";
  await makePrivateFolder(folder);
  const stampFile = join(folder, "podman-tried");
  const confFile = join(folder, "containers.conf");
  const environmentOf = (conf: string | undefined) => podmanEnvironment(options.environment, conf === undefined ? undefined : confFile);

  const kept = await readTextIfThere(confFile);
  if ((await readTextIfThere(stampFile)) === stampOf(facts.fingerprint, kept)) return { podman, environment: environmentOf(kept) };

  let firstProblem: string | undefined;
  for (const settings of candidates) {
    const conf = renderContainersConf(settings);
    if (conf === undefined) await rm(confFile, { force: true });
    else await writeFileDurably(confFile, conf);
    const environment = environmentOf(conf);
    const problem = await tryContainer({ podman, environment }, folder, signal);
    if (problem === undefined) {
      await writeFileDurably(stampFile, stampOf(facts.fingerprint, conf));
      if (conf !== undefined) logger.info("podman needs settings of its own on this machine", { settings: { ...settings } });
      return { podman, environment };
    }
    logger.debug("podman ran no container with these settings", { settings: { ...settings }, problem });
    firstProblem ??= problem;
  }
  await rm(stampFile, { force: true });
  throw new AppError("engine_failed", `podman is installed, but runs no container on this machine. It says: ${firstProblem}`);
}

/** Which facts and which configuration a container ran with. */
function stampOf(fingerprint: string, conf: string | undefined): string {
  return `${fingerprint} ${createHash("sha256")
    .update(conf ?? "none")
    .digest("hex")}\n`;
}

function podmanEnvironment(inherited: NodeJS.ProcessEnv, confFile: string | undefined): NodeJS.ProcessEnv {
  const environment = Object.fromEntries(Object.entries(inherited).filter(([name]) => !MISLEADING_VARIABLES.has(name)));
  return confFile === undefined ? environment : { ...environment, CONTAINERS_CONF: confFile };
}

/**
 * Runs the machine's own `true`, its system folders mounted read-only, without network and with the limits that
 * instances get. Returns what podman said when that fails.
 */
async function tryContainer(setup: PodmanSetup, folder: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const root = await mkdtemp(join(folder, "trial-"));
  const timeout = AbortSignal.timeout(TRIAL_TIMEOUT_MS);
  try {
    const mounts = await layOutRoot(root);
    const limits = ["--network", "none", "--memory", "64m", "--pids-limit", "16", "--security-opt", "no-new-privileges"];
    const args = [
      "run",
      "--rm",
      "--pull",
      "never",
      ...limits,
      "--security-opt",
      "label=disable",
      ...mounts,
      "--rootfs",
      root,
      "/usr/bin/true",
    ];
    const result = await runProgram(setup.podman, args, {
      env: setup.environment,
      cwd: "/",
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    });
    return result.exitCode === 0 ? undefined : result.stderr.trim() || `exit code ${result.exitCode}`;
  } catch (error) {
    if (timeout.aborted) return `no answer within ${TRIAL_TIMEOUT_MS / 1000} s`;
    if (signal?.aborted === true) throw new AppError("cancelled", "stopped before it was known whether containers run here");
    throw error;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

/** Links and mount points as at the machine's own root; returns the arguments that mount them. */
async function layOutRoot(root: string): Promise<string[]> {
  const mounts: string[] = [];
  for (const name of SYSTEM_FOLDERS) {
    const kind = await lstat(`/${name}`).catch(() => undefined);
    if (kind?.isSymbolicLink() === true) await symlink(await readlink(`/${name}`), join(root, name));
    if (kind?.isDirectory() !== true) continue;
    await mkdir(join(root, name));
    mounts.push("--volume", `/${name}:/${name}:ro`);
  }
  return mounts;
}
