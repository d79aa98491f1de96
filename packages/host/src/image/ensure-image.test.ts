import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runProgram, silentLogger } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithEngine, findRealEngines } from "../testing/real-engines.fixture.ts";
import { ensureImage, type EnsureImageOptions } from "./ensure-image.ts";
import type { ImageStore } from "./image-store.ts";
import { openImageStore } from "./open-image-store.ts";

const { signal } = new AbortController();

for (const real of await findRealEngines()) {
  describeWithEngine(`the image of ${real.provider}`, real, () => {
    const { provider, folder, environment } = real;
    const common = { provider, folder, environment, logger: silentLogger };
    const name = `localhost/hardshare/test-${process.pid}`;
    const contextFolder = join(folder, `context-${provider}`);
    let store: ImageStore;
    const ensure = (changes: Partial<EnsureImageOptions> = {}) => ensureImage({ ...common, name, contextFolder, ...changes });
    const writeContext = (step: string) => writeFile(join(contextFolder, "Containerfile"), `ARG BASE\nFROM \${BASE}\n${step}\n`);

    beforeAll(async () => {
      await real.ensureImage();
      await mkdir(contextFolder);
      store = await openImageStore(common);
    }, 600_000);
    afterAll(async () => {
      const image = await store?.inspect(name, signal);
      if (image !== undefined) await store.remove(image.id, signal);
      await store?.[Symbol.asyncDispose]();
    });

    test("is built once, also when several ask at the same time, and again when its content changes", async () => {
      await writeContext("ENV A=1");
      const built = await Promise.all([ensure(), ensure(), ensure()]);
      expect(built.filter(({ wasBuilt }) => wasBuilt)).toHaveLength(1);
      const lines: string[] = [];
      expect(await ensure({ onProgress: (line) => lines.push(line) })).toEqual({ name, wasBuilt: false });
      expect(lines).toEqual([]);
      const former = (await store.inspect(name, signal))?.id ?? "";
      await writeContext("ENV A=2");
      expect(await ensure({ onProgress: (line) => lines.push(line) })).toEqual({ name, wasBuilt: true });
      expect(lines.at(-1)).toBe(`${name} is built`);
      expect(await store.inspect(former, signal)).toBeUndefined();
    });

    test("a build that fails says why and leaves the former image", async () => {
      await writeContext("ENV A=3");
      await ensure();
      await writeContext("ENV B=1\nRUN echo the reason >&2; exit 9");
      const unnamed = () => runProgram(provider, ["images", "--quiet", "--filter", "dangling=true"], { env: environment });
      const before = (await unnamed()).stdout;
      await expect(ensure()).rejects.toMatchObject({ code: "engine_failed", message: expect.stringContaining("the reason") as string });
      if (provider === "docker") expect((await unnamed()).stdout).toBe(before); // podman's storage is not this test's alone
      await writeContext("ENV A=3");
      expect(await ensure()).toEqual({ name, wasBuilt: false });
    });

    test("a cancelled build leaves nothing that runs", async () => {
      const seconds = 100_000 + process.pid;
      await writeContext(`RUN echo begun >&2; sleep ${seconds}`);
      const controller = new AbortController();
      const running = ensure({ signal: controller.signal, onProgress: (line) => line === "begun" && controller.abort() });
      await expect(running).rejects.toMatchObject({ code: "cancelled" });
      // Docker tells nobody when it has killed what a build ran.
      await expect.poll(async () => (await runProgram("pgrep", ["-x", "-f", `sleep ${seconds}`])).exitCode).toBe(1);
    });
  });
}
