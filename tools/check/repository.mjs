import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSource } from "./parse-source.mjs";

/** Folders that hold code of ours; everything else is data, documents or generated. */
const CODE_FOLDERS = ["packages", "tools", "e2e", "bench"];
const CODE_FILE = /\.(?:ts|tsx|mts|mjs|js)$/;
const SKIPPED_FOLDERS = new Set(["node_modules", "dist", "coverage", "program"]);

/**
 * @typedef {object} Room see architecture.json
 * @property {string[]} folders
 * @property {string[]} ours
 * @property {string[]} [lazily]
 * @property {string[]} modules
 * @property {boolean} node
 * @property {{ what: string[], because: string }[]} bans
 *
 * @typedef {object} Architecture
 * @property {Record<string, Room>} rooms
 * @property {{ ours: string[], modules: string[], node: boolean }} tests
 * @property {{ allowed: { file: string, because: string }[] }} processUse
 * @property {{ allowed: { file: string, because: string }[] }} longFiles
 *
 * @typedef {object} SourceFile
 * @property {string} path from the root, with `/`
 * @property {string} text
 * @property {import("./parse-source.mjs").ParsedSource} parsed
 *
 * @typedef {object} Package
 * @property {string} name as in package.json
 * @property {string} folder from the root
 * @property {Map<string, string>} entries specifier (`@hardshare/wire/ssh`) → source file from the root
 *
 * @typedef {object} Repository
 * @property {Architecture} architecture
 * @property {SourceFile[]} files
 * @property {Package[]} packages
 */

/** Reads and parses all code of the repository once, for every check. @param {string} root @returns {Promise<Repository>} */
export async function readRepository(root) {
  const [architecture, paths, packages] = await Promise.all([
    readJson(join(root, "architecture.json")),
    listCode(root),
    listPackages(root),
  ]);
  const files = await Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(root, path), "utf8");
      return { path, text, parsed: parseSource(path, text) };
    }),
  );
  return { architecture, files, packages };
}

/** Whether a file is a test, or what tests share (`x.fixture.ts`): these may import more than the room they lie in. @param {string} path */
export function isTest(path) {
  return /\.(?:test|fixture)\.[a-z]+$/.test(path);
}

/** @param {string} root */
async function listCode(root) {
  const lists = await Promise.all(CODE_FOLDERS.map((folder) => walk(root, folder)));
  return lists.flat().toSorted();
}

/** @param {string} root @param {string} folder @returns {Promise<string[]>} */
async function walk(root, folder) {
  const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) || entry.name.startsWith(".") ? [] : walk(root, path);
      return CODE_FILE.test(entry.name) ? [path] : [];
    }),
  );
  return found.flat();
}

/** @param {string} root @returns {Promise<Package[]>} */
async function listPackages(root) {
  const folders = await readdir(join(root, "packages")).catch(() => []);
  const packages = await Promise.all(
    folders.map(async (name) => {
      const folder = `packages/${name}`;
      const manifest = await readJson(join(root, folder, "package.json")).catch((error) => {
        if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
        throw error;
      });
      if (manifest === undefined) return [];
      const entries = Object.entries(manifest.exports ?? {}).map(([entry, conditions]) => {
        const source = conditions["@hardshare/source"] ?? "";
        return [manifest.name + entry.slice(1), `${folder}/${source.replace(/^\.\//, "")}`];
      });
      return [{ name: manifest.name, folder, entries: new Map(entries) }];
    }),
  );
  return packages.flat();
}

/** @param {string} path */
async function readJson(path) {
  return JSON.parse(await readFile(path, "utf8"));
}
