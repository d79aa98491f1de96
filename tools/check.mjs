#!/usr/bin/env node
/**
 * `npm run check`: format, lint, types, import directions, names and sizes, unused code, generated files; all at the
 * same time, in seconds. Says what is wrong, where, why and what to do; ends with 1 when anything is.
 */
import { fileURLToPath } from "node:url";
import { runChecks } from "./check/run-checks.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
process.exitCode = (await runChecks(root, (text) => process.stdout.write(`${text}\n`))) ? 0 : 1;
