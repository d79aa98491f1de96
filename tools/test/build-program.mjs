/** Vitest's global set-up: what tests start as processes of their own is made of the sources as they are now. */
import { fileURLToPath } from "node:url";
import { bundleForTests, bundleProgram } from "../setup/bundle.mjs";

/** By which the second project of a run learns of the first one's build: their set-ups share a process, but no modules. */
const BUILT_VARIABLE = "HARDSHARE_TEST_PROGRAMS_BUILT";

export default async function setUp() {
  if (process.env[BUILT_VARIABLE] !== undefined) return;
  const root = fileURLToPath(new URL("../..", import.meta.url));
  await bundleProgram(root);
  await bundleForTests(root, {
    name: "dying-daemon",
    main: "packages/host/src/testing/dying-daemon.fixture.ts",
    folder: ".cache/test-programs",
  });
  process.env[BUILT_VARIABLE] = "yes";
}
