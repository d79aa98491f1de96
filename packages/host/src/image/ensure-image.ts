/**
 * The image that instances get unless their contract names another: built once on this machine, into the usual storage
 * of podman or Docker, and again only when its content changes. Called by `hardshare up`, by the host and by tests.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { lockFile, makePrivateFolder, shippedPath, socketFolder } from "@hardshare/runtime";
import type { ContainerProvider } from "../engine/engine.ts";
import { ensureBaseImage, readAptSettings } from "./base-image.ts";
import { findDebianSources } from "./debian-sources.ts";
import { openImageStore, type OpenImageStoreOptions } from "./open-image-store.ts";

/** Name of the image, as contracts have it by default. */
export const GENERIC_IMAGE = "localhost/hardshare/generic";
/** Label with the hash of all that the image is built from. */
const CONTENT_LABEL = "io.hardshare.content";

export interface EnsureImageOptions extends OpenImageStoreOptions {
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
    throw explain(error, options.provider, name, signal);
  }
}

async function buildIfNeeded(name: string, options: EnsureImageOptions, signal: AbortSignal): Promise<boolean> {
  const { environment, onProgress = () => {} } = options;
  const contextFolder = options.contextFolder ?? findContextFolder();
  await using store = await openImageStore(options, signal);
  const isUpToDate = async () => (await store.inspect(name, signal))?.labels[CONTENT_LABEL] === content;
  const sources = await findDebianSources();
  const content = await hashContent(contextFolder, sources.suite);
  if (await isUpToDate()) return false;

  const lockPath = machineLockFile(environment);
  await makePrivateFolder(dirname(lockPath));
  await using _lock = await lockFile(lockPath, { signal }); // processes of one machine build it in turn
  if (await isUpToDate()) return false;
  const aptSettings = await readAptSettings(environment, signal);
  const base = await ensureBaseImage({ store, environment, sources, aptSettings, onProgress, signal });
  onProgress(`building ${name} on ${base}`);
  const former = await store.inspect(name, signal);
  await store.build({ name, base, labels: { [CONTENT_LABEL]: content }, contextFolder, aptSettings }, onProgress, signal);
  // A former image that an instance still uses stays until its owner prunes it.
  if (former !== undefined) await store.remove(former.id, signal);
  onProgress(`${name} is built`);
  return true;
}

/** Of the image of instances. */
function findContextFolder(): string {
  return shippedPath(import.meta.url, { inProgram: "images/generic/", inCheckout: "../../../../images/generic/" });
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

function explain(error: unknown, provider: ContainerProvider, name: string, signal: AbortSignal): unknown {
  if (signal.aborted) return new AppError("cancelled", `stopped before the image ${name} was there`, { cause: error });
  if (!(error instanceof AppError) || error.code !== "program_failed") return error;
  const isFull = /no space left on device/i.test(error.message);
  const command = provider === "podman" ? "podman" : "docker";
  const advice = isFull
    ? `The disk is full: make room (\`${command} system df\` shows what images take), then start again`
    : "Start again to try anew";
  return new AppError("engine_failed", `the image ${name} could not be built: ${error.message}\n${advice}`, { cause: error });
}
