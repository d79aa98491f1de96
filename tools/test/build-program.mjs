/** Vitest's global set-up: what tests start as processes of their own is made of the sources as they are now. */
import { fileURLToPath } from "node:url";
import { bundleForTests, bundleProgram } from "../setup/bundle.mjs";

export default async function setUp() {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  await bundleProgram(root);
  await bundleForTests(root, {
    name: "dying-daemon",
    main: "packages/host/src/testing/dying-daemon.fixture.ts",
    folder: ".cache/test-programs",
  });
}
