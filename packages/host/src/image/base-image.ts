/**
 * The Debian system that images are built on: pulled where a registry answers, else made with mmdebstrap from Debian's
 * packages, as this machine's own apt gets them.
 */
import { AppError } from "@hardshare/protocol";
import { runProgram } from "@hardshare/runtime";
import { findProgram } from "../engine/podman-facts.ts";
import { type DebianSources } from "./debian-sources.ts";
import type { ImageStore } from "./image-store.ts";
import { ProgressProgram } from "./progress-program.ts";

/** Milliseconds that a registry has to say anything. */
const FIRST_ANSWER_MS = 20_000;
/** Manuals, documentation and translations have no place in an instance, as in Debian's own "slim" images. */
const LEFT_OUT = ["/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/locale/*"];

export interface BaseImageOptions {
  store: ImageStore;
  /** What mmdebstrap inherits. */
  environment: NodeJS.ProcessEnv;
  sources: DebianSources;
  /** apt's settings of this machine for getting packages: lines for apt.conf(5). */
  aptSettings: readonly string[];
  onProgress: (line: string) => void;
  signal: AbortSignal;
}

/** Returns the name of an image that is there afterwards. Throws AppErrors that say what is missing, the signal's reason when stopped. */
export async function ensureBaseImage(options: BaseImageOptions): Promise<string> {
  const { store, sources, onProgress, signal } = options;
  const name = `localhost/hardshare/base:${sources.suite}`;
  if ((await store.inspect(name, signal)) !== undefined) return name;
  const published = `docker.io/library/debian:${sources.suite}-slim`;
  onProgress(`pulling ${published}`);
  if (await pullImage(published, options)) {
    await store.tag(published, name, signal);
    return name;
  }
  onProgress(`no registry of images can be reached: making a Debian ${sources.suite} base system with mmdebstrap (about half a minute)`);
  await makeImage(name, options);
  return name;
}

/** Whether it could be pulled. A registry that says nothing for a while counts as out of reach; a slow one does not. */
async function pullImage(name: string, { store, onProgress, signal }: BaseImageOptions): Promise<boolean> {
  const giveUp = new AbortController();
  const cancel = () => giveUp.abort();
  signal.addEventListener("abort", cancel, { once: true });
  const timer = setTimeout(cancel, FIRST_ANSWER_MS);
  try {
    signal.throwIfAborted();
    await store.pull(name, onProgress, () => clearTimeout(timer), giveUp.signal);
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", cancel);
  }
}

async function makeImage(name: string, options: BaseImageOptions): Promise<void> {
  const { store, environment, sources, aptSettings, onProgress, signal } = options;
  const mmdebstrap = await findProgram("mmdebstrap", environment["PATH"]);
  if (mmdebstrap === undefined) {
    throw new AppError(
      "image_missing",
      "no registry of images can be reached, and mmdebstrap, which could make the image from Debian's packages, is not installed. " +
        "Install it with: sudo apt-get install mmdebstrap debian-archive-keyring",
    );
  }
  const settings = [
    ...aptSettings.map((line) => `--aptopt=${line}`),
    ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
  ];
  const args = ["--variant=apt", "--format=tar", "--skip=output/dev", ...settings, sources.suite, "-", ...sources.lines];
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  await using maker = new ProgressProgram(mmdebstrap, args, "ignore", { environment, onLine: onProgress, signal: either });
  const archive = maker.child.stdout;
  if (archive === null) throw new AppError("internal", "mmdebstrap was started without a pipe");
  const importing = store.importArchive(archive, either);
  try {
    const [id] = await Promise.all([importing, maker.untilDone()]); // what fails first is told, and the other is ended
    await store.tag(id, name, signal); // only now is it known to be whole
  } catch (error) {
    failed.abort();
    await importing.catch(() => {});
    throw error;
  }
}

/** apt's own words for its proxies, certificates and time limits. Empty where there is no apt. */
export async function readAptSettings(environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string[]> {
  const aptConfig = await findProgram("apt-config", environment["PATH"]);
  if (aptConfig === undefined) return [];
  const { stdout } = await runProgram(aptConfig, ["dump", "Acquire", "--no-empty"], { env: environment, signal });
  return stdout
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /^Acquire::(?:http|https)::(?:Proxy|Verify|CaInfo|SslCert|SslKey|Timeout)[: ]/i.test(line));
}
