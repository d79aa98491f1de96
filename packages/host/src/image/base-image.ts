/**
 * The Debian system that images are built on: pulled where a registry answers, else made with mmdebstrap from Debian's
 * packages, as this machine's own apt gets them.
 */
import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { AppError } from "@hardshare/protocol";
import { runProgram } from "@hardshare/runtime";
import { findProgram } from "../engine/podman-facts.ts";
import type { PodmanSetup } from "../engine/podman-setup.ts";
import { type DebianSources } from "./debian-sources.ts";
import { askPodman, tellPodman } from "./podman-commands.ts";
import { ProgressProgram } from "./progress-program.ts";

/** Milliseconds that a registry has to say anything. */
const FIRST_ANSWER_MS = 20_000;
/** Manuals, documentation and translations have no place in an instance, as in Debian's own "slim" images. */
const LEFT_OUT = ["/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/locale/*"];

export interface BaseImageOptions {
  setup: PodmanSetup;
  sources: DebianSources;
  /** apt's settings of this machine for getting packages: lines for apt.conf(5). */
  aptSettings: readonly string[];
  onProgress: (line: string) => void;
  signal: AbortSignal;
}

/** Returns the name of an image that is there afterwards. Throws AppErrors that say what is missing, the signal's reason when stopped. */
export async function ensureBaseImage(options: BaseImageOptions): Promise<string> {
  const { setup, sources, onProgress, signal } = options;
  const name = `localhost/hardshare/base:${sources.suite}`;
  if ((await askPodman(setup, ["image", "exists", name], signal)) !== undefined) return name;
  const published = `docker.io/library/debian:${sources.suite}-slim`;
  onProgress(`pulling ${published}`);
  if (await pullImage(published, options)) {
    await tellPodman(setup, ["tag", published, name], signal);
    return name;
  }
  onProgress(`no registry of images can be reached: making a Debian ${sources.suite} base system with mmdebstrap (about half a minute)`);
  await makeImage(name, options);
  return name;
}

/** Whether it could be pulled. A registry that says nothing for a while counts as out of reach; a slow one does not. */
async function pullImage(name: string, { setup, onProgress, signal }: BaseImageOptions): Promise<boolean> {
  const giveUp = new AbortController();
  const cancel = () => giveUp.abort();
  signal.addEventListener("abort", cancel, { once: true });
  const timer = setTimeout(cancel, FIRST_ANSWER_MS);
  const onLine = (line: string) => {
    if (/^(?:Getting|Copying|Writing)/.test(line)) clearTimeout(timer);
    onProgress(line);
  };
  try {
    signal.throwIfAborted();
    await using pull = new ProgressProgram(setup.podman, ["pull", name], "ignore", {
      environment: setup.environment,
      onLine,
      signal: giveUp.signal,
    });
    pull.child.stdout?.resume();
    await pull.untilDone();
    return true;
  } catch {
    signal.throwIfAborted();
    return false;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", cancel);
  }
}

async function makeImage(name: string, { setup, sources, aptSettings, onProgress, signal }: BaseImageOptions): Promise<void> {
  const mmdebstrap = await findProgram("mmdebstrap", setup.environment["PATH"]);
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
  const options = { environment: setup.environment, onLine: onProgress, signal };
  const args = ["--variant=apt", "--format=tar", "--skip=output/dev", ...settings, sources.suite, "-", ...sources.lines];
  await using maker = new ProgressProgram(mmdebstrap, args, "ignore", options);
  await using importer = new ProgressProgram(setup.podman, ["import", "--quiet", "-"], "pipe", options);
  const id = readText(importer);
  const archive = maker.child.stdout;
  const input = importer.child.stdin;
  if (archive === null || input === null) throw new AppError("internal", "programs were started without pipes");
  const carried = pipeline(archive, input).catch(() => {}); // a broken pipe shows as a failed program
  await Promise.all([maker.untilDone(), importer.untilDone()]); // what fails first is told, and the other is ended
  await carried;
  // Only now is it known to be whole.
  await tellPodman(setup, ["tag", (await id).trim(), name], signal);
}

async function readText(program: ProgressProgram): Promise<string> {
  let text = "";
  program.child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(program.child, "close").catch(() => {});
  return text;
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
