import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram, silentLogger } from "@hardshare/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { preparePodman, type PodmanSetup } from "../engine/podman-setup.ts";
import { ensureImage, type EnsureImageOptions } from "./ensure-image.ts";

const folder = await mkdtemp(join(tmpdir(), "hs-image-"));
const common = { folder, environment: process.env, logger: silentLogger };
const setup = await preparePodman(common).catch((error: Error) => error.message);
const isLeftOut = typeof setup === "string" && process.env["CI"] === undefined;
const name = `localhost/hardshare/test-${process.pid}`;
const contextFolder = join(folder, "context");

describe.skipIf(isLeftOut)(isLeftOut ? `the image (left out: ${setup})` : "the image", () => {
  const podman = (...args: string[]) => {
    const { podman, environment } = setup as PodmanSetup;
    return runProgram(podman, args, { env: environment });
  };
  const ensure = (changes: Partial<EnsureImageOptions> = {}) => ensureImage({ ...common, name, contextFolder, ...changes });
  const writeContext = (step: string) => writeFile(join(contextFolder, "Containerfile"), `ARG BASE\nFROM \${BASE}\n${step}\n`);

  beforeAll(async () => {
    await ensureImage(common);
    await mkdir(contextFolder);
  }, 600_000);
  afterAll(async () => {
    if (typeof setup !== "string") await podman("image", "rm", "--force", name);
    await rm(folder, { recursive: true });
  });

  test("is built once, also when several ask at the same time, and again when its content changes", async () => {
    await writeContext("ENV A=1");
    const built = await Promise.all([ensure(), ensure(), ensure()]);
    expect(built.filter(({ wasBuilt }) => wasBuilt)).toHaveLength(1);
    const lines: string[] = [];
    expect(await ensure({ onProgress: (line) => lines.push(line) })).toEqual({ name, wasBuilt: false });
    expect(lines).toEqual([]);
    const former = (await podman("image", "inspect", "--format", "{{.Id}}", name)).stdout.trim();
    await writeContext("ENV A=2");
    expect(await ensure({ onProgress: (line) => lines.push(line) })).toEqual({ name, wasBuilt: true });
    expect(lines.at(-1)).toBe(`${name} is built`);
    expect((await podman("image", "exists", former)).exitCode).toBe(1);
  });

  test("a build that fails says why and leaves the former image", async () => {
    await writeContext("ENV A=3");
    await ensure();
    await writeContext("RUN echo the reason >&2; exit 9");
    await expect(ensure()).rejects.toMatchObject({ code: "engine_failed", message: expect.stringContaining("the reason") as string });
    await writeContext("ENV A=3");
    expect(await ensure()).toEqual({ name, wasBuilt: false });
  });

  test("a cancelled build leaves nothing that runs", async () => {
    await writeContext("RUN echo begun >&2; sleep 612");
    const controller = new AbortController();
    const running = ensure({ signal: controller.signal, onProgress: (line) => line === "begun" && controller.abort() });
    await expect(running).rejects.toMatchObject({ code: "cancelled" });
    expect((await runProgram("pgrep", ["-x", "-f", "sleep 612"])).exitCode).toBe(1);
  });
});
