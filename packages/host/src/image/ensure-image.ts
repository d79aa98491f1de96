/**
 * The image that instances get unless their contract names another: built once on this machine, into podman's usual
 * storage, and again only when its content changes. Called by `hardshare up`, by the host and by tests.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { AppError } from "@hardshare/protocol";
import { lockFile, type Logger, makePrivateFolder, socketFolder } from "@hardshare/runtime";
import { type PodmanSetup, preparePodman } from "../engine/podman-setup.ts";
import { ensureBaseImage, readAptSettings } from "./base-image.ts";
import { findDebianSources } from "./debian-sources.ts";
import { askPodman } from "./podman-commands.ts";
import { ProgressProgram } from "./progress-program.ts";

/** Name of the image, as contracts have it by default. */
export const GENERIC_IMAGE = "localhost/hardshare/generic";
/** Label with the hash of all that the image is built from. */
const CONTENT_LABEL = "io.hardshare.content";
/** Milliseconds to remove what a build that was cut short left. */
const CLEAN_UP_MS = 10_000;

export interface EnsureImageOptions {
  /** A folder of the caller's where what podman needs on this machine is kept. */
  folder: string;
  /** The environment that podman and mmdebstrap inherit. */
  environment: NodeJS.ProcessEnv;
  logger: Logger;
  /** What happens, line by line, for a person who waits. */
  onProgress?: ((line: string) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Folder of the Containerfile; default: the one of this repository. */
  contextFolder?: string | undefined;
  /** Name of the image; tests use another. */
  name?: string | undefined;
}

/**
 * Builds the image if it is missing or made from something else; takes some 50 ms when there is nothing to do.
 * Safe to call from several processes at once. Throws `engine_missing`, `image_missing` (neither a registry nor
 * mmdebstrap), `engine_failed` with the last lines of what failed, `cancelled`.
 */
export async function ensureImage(options: EnsureImageOptions): Promise<{ name: string; wasBuilt: boolean }> {
  const { name = GENERIC_IMAGE, signal = new AbortController().signal } = options;
  try {
    return { name, wasBuilt: await buildIfNeeded(name, options, signal) };
  } catch (error) {
    throw explain(error, name, signal);
  }
}

async function buildIfNeeded(name: string, options: EnsureImageOptions, signal: AbortSignal): Promise<boolean> {
  const { folder, environment, logger, onProgress = () => {} } = options;
  const contextFolder = options.contextFolder ?? findContextFolder();
  const setup = await preparePodman({ folder, environment, logger, signal });
  const sources = await findDebianSources();
  const content = await hashContent(contextFolder, sources.suite);
  if ((await contentOf(setup, name, signal)) === content) return false;

  const lockPath = machineLockFile(environment);
  await makePrivateFolder(dirname(lockPath));
  await using _lock = await lockFile(lockPath, { signal }); // processes of one machine build it in turn
  if ((await contentOf(setup, name, signal)) === content) return false;
  const aptSettings = await readAptSettings(environment, signal);
  const base = await ensureBaseImage({ setup, sources, aptSettings, onProgress, signal });
  onProgress(`building ${name} on ${base}`);
  await buildImage({ setup, name, base, content, contextFolder, aptSettings, onProgress, signal });
  onProgress(`${name} is built`);
  return true;
}

/** Of the image of instances: in an installed package beside the code, in a checkout at its root. */
function findContextFolder(): string {
  const installed = fileURLToPath(new URL("../../images/generic/", import.meta.url));
  return existsSync(installed) ? installed : fileURLToPath(new URL("../../../../images/generic/", import.meta.url));
}

interface BuildOptions {
  setup: PodmanSetup;
  name: string;
  base: string;
  content: string;
  contextFolder: string;
  aptSettings: readonly string[];
  onProgress: (line: string) => void;
  signal: AbortSignal;
}

async function buildImage({ setup, name, base, content, contextFolder, aptSettings, onProgress, signal }: BuildOptions): Promise<void> {
  await removeLeftovers(setup, base, signal);
  const former = await askPodman(setup, ["image", "inspect", "--format", "{{.Id}}", name], signal);
  const folder = await mkdtemp(join(tmpdir(), "hardshare-image-"));
  try {
    const settingsFile = join(folder, "apt.conf");
    await writeFile(settingsFile, aptSettings.map((line) => `${line}\n`).join(""), { mode: 0o644 });
    const mounts = [`${settingsFile}:/etc/apt/apt.conf.d/00-machine:ro`, ...(await certificateMounts(aptSettings))];
    const volumes = mounts.flatMap((mount) => ["--volume", mount]);
    const labels = ["--build-arg", `BASE=${base}`, "--label", `${CONTENT_LABEL}=${content}`, "--tag", name];
    const isolation = ["--pull=never", "--network=host", "--no-cache", "--security-opt", "label=disable"];
    const args = ["build", ...isolation, ...volumes, ...labels, contextFolder];
    await using build = new ProgressProgram(setup.podman, args, "ignore", {
      environment: setup.environment,
      hasDescendants: process.getuid?.() === 0,
      onLine: onProgress,
      signal,
    });
    if (build.child.stdout !== null) {
      createInterface({ input: build.child.stdout }).on("line", (line) => {
        if (line.startsWith("STEP ")) onProgress(line);
      });
    }
    await build.untilDone();
  } catch (error) {
    await removeLeftovers(setup, base, AbortSignal.timeout(CLEAN_UP_MS)).catch(() => {}); // else the next build does it
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  // A former image that an instance still uses stays until its owner prunes it.
  if (former !== undefined) await askPodman(setup, ["image", "rm", former], signal);
}

/** What builds that were cut short left in podman's storage: its working containers, which no longer run. */
async function removeLeftovers(setup: PodmanSetup, base: string, signal: AbortSignal): Promise<void> {
  const asked = ["ps", "--all", "--external", "--filter", `ancestor=${base}`, "--format", "{{.ID}} {{.Status}}"];
  for (const line of ((await askPodman(setup, asked, signal)) ?? "").split("\n")) {
    const [id = "", status] = line.split(" ");
    if (status === "Storage") await askPodman(setup, ["rm", "--force", id], signal);
  }
}

/** Files that apt's settings name, mounted under the same path. */
async function certificateMounts(aptSettings: readonly string[]): Promise<string[]> {
  const paths = aptSettings.map((line) => /"(\/[^"]+)"/.exec(line)?.[1]).filter((path) => path !== undefined);
  const mounts: string[] = [];
  for (const path of new Set(paths)) {
    if ((await stat(path).catch(() => undefined))?.isFile() === true) mounts.push(`${path}:${path}:ro`);
  }
  return mounts;
}

async function contentOf(setup: PodmanSetup, name: string, signal: AbortSignal): Promise<string | undefined> {
  return await askPodman(setup, ["image", "inspect", "--format", `{{index .Labels "${CONTENT_LABEL}"}}`, name], signal);
}

async function hashContent(contextFolder: string, suite: string): Promise<string> {
  const hash = createHash("sha256").update(suite);
  const names = await readdir(contextFolder);
  for (const name of names.toSorted()) {
    const content = await readFile(join(contextFolder, name));
    hash.update(`\0${name}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 32);
}

/** One lock for all that use the same storage: that of this user. */
function machineLockFile(environment: NodeJS.ProcessEnv): string {
  const folder = socketFolder("image", { uid: process.getuid?.() ?? 0, runtimeFolder: environment["XDG_RUNTIME_DIR"] });
  return join(dirname(folder), "image.lock");
}

function explain(error: unknown, name: string, signal: AbortSignal): unknown {
  if (signal.aborted) return new AppError("cancelled", `stopped before the image ${name} was there`, { cause: error });
  if (!(error instanceof AppError) || error.code !== "program_failed") return error;
  const isFull = /no space left on device/i.test(error.message);
  const advice = isFull
    ? "The disk is full: make room (`podman system df` shows what images take), then start again"
    : "Start again to try anew";
  return new AppError("engine_failed", `the image ${name} could not be built: ${error.message}\n${advice}`, { cause: error });
}
