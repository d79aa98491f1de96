#!/usr/bin/env node
/** `npm run build`: makes the program of the sources. */
import { fileURLToPath } from "node:url";
import { build } from "./setup/dependencies.mjs";

process.exitCode = (await build(fileURLToPath(new URL("..", import.meta.url)))) ? 0 : 1;
