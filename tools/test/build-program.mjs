/** Vitest's global set-up of `e2e`, which runs what users run: the program is made of the sources as they are now. */
import { fileURLToPath } from "node:url";
import { bundleProgram } from "../setup/bundle.mjs";

export default async function setUp() {
  await bundleProgram(fileURLToPath(new URL("../..", import.meta.url)));
}
