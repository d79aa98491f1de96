import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readRepository } from "./repository.mjs";

const ROOM = { ours: [], modules: [], node: false, bans: [] };

/**
 * A small repository in a temporary folder, read as the checks read the real one: packages `low`, `high` (with the
 * entries `.` and `./node`) and `kit`, of which `high` may import `low`, and only tests `kit`.
 * @param {Record<string, string>} sources path → text
 * @param {object} [changes] merged into its architecture.json
 * @returns {Promise<import("./repository.mjs").Repository>}
 */
export async function readFixture(sources, changes = {}) {
  const architecture = {
    rooms: {
      low: { ...ROOM, folders: ["packages/low"], modules: ["zod"], bans: [{ what: ["*"], because: "it ships to browsers" }] },
      high: { ...ROOM, folders: ["packages/high"], ours: ["low"], lazily: ["kit"], bans: [{ what: ["node:*"], because: "browsers" }] },
      "high/node": { ...ROOM, folders: ["packages/high/src/node"], ours: ["high", "low"], node: true },
      kit: { ...ROOM, folders: ["packages/kit"], ours: ["*"], modules: ["*"], node: true },
    },
    tests: { ours: ["kit"], modules: ["vitest"], node: true },
    namespaces: { modules: [] },
    processUse: { allowed: [] },
    longFiles: { allowed: [] },
    ...changes,
  };
  const files = {
    "architecture.json": JSON.stringify(architecture),
    "packages/low/package.json": manifest("low", "."),
    "packages/high/package.json": manifest("high", ".", "./node"),
    "packages/kit/package.json": manifest("kit", "."),
    "packages/low/src/index.ts": '/** Low. */\nimport { z } from "zod";\nexport const low = z;\n',
    ...sources,
  };
  const root = await mkdtemp(join(tmpdir(), "hardshare-check-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), text);
    }
    return await readRepository(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

/** package.json of a package with these entries. @param {string} name @param {string[]} entries */
function manifest(name, ...entries) {
  const exports = entries.map((entry) => [entry, { "@hardshare/source": `${entry.replace(".", "./src")}/index.ts` }]);
  return JSON.stringify({ name: `@hardshare/${name}`, exports: Object.fromEntries(exports) });
}
