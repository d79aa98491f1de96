import { chown, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { readTextIfThere, runProgram, syncFolder } from "@hardshare/runtime";
import type { NativeBinaries } from "./native-binaries.ts";
import type { ServiceUser } from "./service-user.ts";

/** Name of the only role in a private cluster. */
export const CLUSTER_ROLE = "hardshare";

/**
 * Makes the cluster's folder when there is none: in a folder beside it, which takes the final name when initdb is
 * done, so that one that was killed in the middle is made anew. Each attempt has a folder of its own: the initdb of a
 * killed server may go on writing for a while.
 * @throws AppError `version_mismatch` when another major version of PostgreSQL made it, `config_invalid` when the folder holds
 * something else, `store_unavailable` when initdb fails (for example on a full disk)
 */
export async function ensureCluster(options: {
  clusterFolder: string;
  binaries: NativeBinaries;
  user: ServiceUser | null;
  password: string;
  signal?: AbortSignal | undefined;
}): Promise<void> {
  const { clusterFolder, binaries } = options;
  const unfinishedPrefix = `${clusterFolder}.unfinished-`;
  await removeUnfinished(unfinishedPrefix);
  const version = (await readTextIfThere(join(clusterFolder, "PG_VERSION")))?.trim();
  if (version !== undefined) {
    checkVersion(clusterFolder, version, binaries.packageVersion);
    return;
  }
  if ((await namesIn(clusterFolder)).length > 0) {
    throw new AppError(
      "config_invalid",
      `${clusterFolder} is not empty and holds no PostgreSQL cluster. Move it away, or give another --data-dir`,
    );
  }
  const unfinished = await mkdtemp(unfinishedPrefix);
  const passwordFile = join(unfinished, "password");
  await writeFile(passwordFile, options.password, { mode: 0o600 });
  if (options.user !== null) {
    await chown(passwordFile, options.user.uid, options.user.gid);
    await chown(unfinished, options.user.uid, options.user.gid);
  }
  await runInitdb(join(unfinished, "cluster"), passwordFile, options);
  await rm(clusterFolder, { recursive: true, force: true }); // at most an empty folder
  await rename(join(unfinished, "cluster"), clusterFolder);
  await syncFolder(dirname(clusterFolder));
  await rm(unfinished, { recursive: true, force: true });
}

async function removeUnfinished(prefix: string): Promise<void> {
  for (const name of await namesIn(dirname(prefix))) {
    // One that an initdb still writes to may resist; it is removed at a later start.
    if (name.startsWith(basename(prefix))) await rm(join(dirname(prefix), name), { recursive: true, force: true }).catch(() => {});
  }
}

async function runInitdb(
  folder: string,
  passwordFile: string,
  options: { binaries: NativeBinaries; user: ServiceUser | null; signal?: AbortSignal | undefined },
): Promise<void> {
  const args = ["-D", folder, "-U", CLUSTER_ROLE, "--auth=scram-sha-256", `--pwfile=${passwordFile}`, "-E", "UTF8", "--no-locale"];
  const result = await runProgram(join(options.binaries.folder, "bin", "initdb"), args, {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin", TZ: "UTC" },
    ...(options.user === null ? {} : { uid: options.user.uid, gid: options.user.gid }),
    signal: options.signal,
  });
  if (result.exitCode === 0) return;
  const output = `${result.stderr}\n${result.stdout}`;
  const hint = output.includes("No space left on device") ? `The disk is full: free some space at ${folder}` : "PostgreSQL's initdb failed";
  throw new AppError("store_unavailable", `${hint}: ${result.stderr.trim().slice(-2000)}`, { details: { exitCode: result.exitCode } });
}

function checkVersion(clusterFolder: string, found: string, packageVersion: string): void {
  const own = packageVersion.split(".")[0];
  if (found === own) return;
  throw new AppError(
    "version_mismatch",
    `The database in ${clusterFolder} was made by PostgreSQL ${found}, and this hardshare brings PostgreSQL ${own}. Use the hardshare that made it, or move the data over with pg_dump and --database-url`,
    { details: { found, own } },
  );
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
