/**
 * `npm run gen`: writes what is generated from the source (pages of docs/reference, the import table of ARCHITECTURE.md),
 * and from what tests of failures measured (docs/what-happens-when.md).
 * With `--check` it writes nothing, names what is stale and ends with 1.
 */
import { fileURLToPath } from "node:url";
import { generate } from "./gen/generate.mjs";
import { updateFiles } from "./gen/update-files.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const isCheck = process.argv.includes("--check");
const changed = await updateFiles(root, await generate(root), { write: !isCheck });
for (const path of changed) process.stdout.write(isCheck ? `${path} is stale: run npm run gen\n` : `wrote ${path}\n`);
if (isCheck && changed.length > 0) process.exitCode = 1;
