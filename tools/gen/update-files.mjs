import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * Brings files up to date.
 * @param {string} root
 * @param {Map<string, string>} files path from the root → content that it should have
 * @param {{ write: boolean }} options false: only compare
 * @returns {Promise<string[]>} paths of the files that differed
 */
export async function updateFiles(root, files, { write }) {
  const changed = [];
  for (const [path, content] of files) {
    const before = await readFile(join(root, path), "utf8").catch((error) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (before === content) continue;
    changed.push(path);
    if (!write) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return changed;
}
