#!/usr/bin/env node
/**
 * `npm run pack [-- FOLDER]`: builds the one package that people install (`npm i -g hardshare-<version>.tgz`) and puts it
 * into FOLDER, else into `build/`. The last line on standard output is its path.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { packageEverything } from "./pack/package-everything.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = resolve(process.argv[2] ?? `${root}/build`);
process.stdout.write(`${await packageEverything(root, folder)}\n`);
