import { once } from "node:events";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { AppError } from "@hardshare/protocol";
import { runProgram } from "@hardshare/runtime";
import type { PodmanSetup } from "../engine/podman-setup.ts";
import { APT_SETTINGS_FILE, filesNamedBy, type ImageBuild, type ImageStore, type StoredImage } from "./image-store.ts";
import { ProgressProgram } from "./progress-program.ts";

/** Milliseconds to remove what a build that was cut short left. */
const CLEAN_UP_MS = 10_000;

/** podman's usual storage, through its commands: its API builds nothing that could be mounted into. */
export class PodmanImages implements ImageStore {
  readonly #setup: PodmanSetup;

  constructor(setup: PodmanSetup) {
    this.#setup = setup;
  }

  async inspect(name: string, signal: AbortSignal): Promise<StoredImage | undefined> {
    const text = await this.#ask(["image", "inspect", name], signal);
    if (text === undefined) return undefined;
    const [image] = JSON.parse(text) as { Id: string; Labels: Record<string, string> | null }[];
    if (image === undefined) return undefined;
    return { id: image.Id, labels: image.Labels ?? {} };
  }

  async pull(name: string, onLine: (line: string) => void, onAnswer: () => void, signal: AbortSignal): Promise<void> {
    const take = (line: string) => {
      if (/^(?:Getting|Copying|Writing)/.test(line)) onAnswer();
      onLine(line);
    };
    await using pull = this.#start(["pull", name], "ignore", take, signal);
    pull.child.stdout?.resume();
    await pull.untilDone();
  }

  async importArchive(archive: Readable, signal: AbortSignal): Promise<string> {
    await using importer = this.#start(["import", "--quiet", "-"], "pipe", () => {}, signal);
    const { stdin } = importer.child;
    if (stdin === null) throw new AppError("internal", "podman was started without a pipe");
    const id = readText(importer);
    const carried = pipeline(archive, stdin).catch(() => {}); // a broken pipe shows as a failed program
    await importer.untilDone();
    await carried;
    return (await id).trim();
  }

  async tag(image: string, name: string, signal: AbortSignal): Promise<void> {
    const result = await this.#run(["tag", image, name], signal);
    if (result.exitCode !== 0) throw new AppError("engine_failed", `podman tag failed: ${result.stderr.trim()}`);
  }

  async build(build: ImageBuild, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    await this.#removeLeftovers(build.base, signal);
    const folder = await mkdtemp(join(tmpdir(), "hardshare-image-"));
    try {
      const settingsFile = join(folder, "apt.conf");
      await writeFile(settingsFile, build.aptSettings.map((line) => `${line}\n`).join(""), { mode: 0o644 });
      const mounts = [`${settingsFile}:${APT_SETTINGS_FILE}:ro`, ...(await certificateMounts(build.aptSettings))];
      const volumes = mounts.flatMap((mount) => ["--volume", mount]);
      const labels = Object.entries(build.labels).flatMap(([name, value]) => ["--label", `${name}=${value}`]);
      const isolation = ["--pull=never", "--network=host", "--no-cache", "--security-opt", "label=disable"];
      const names = ["--build-arg", `BASE=${build.base}`, ...labels, "--tag", build.name];
      await using building = this.#start(
        ["build", ...isolation, ...volumes, ...names, build.contextFolder],
        "ignore",
        onLine,
        signal,
        true,
      );
      if (building.child.stdout !== null) {
        createInterface({ input: building.child.stdout }).on("line", (line) => {
          if (line.startsWith("STEP ")) onLine(line);
        });
      }
      await building.untilDone();
    } catch (error) {
      await this.#removeLeftovers(build.base, AbortSignal.timeout(CLEAN_UP_MS)).catch(() => {}); // else the next build does it
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    await this.#ask(["image", "rm", id], signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Each command ended with its call.
  }

  /** What builds that were cut short left in podman's storage: its working containers, which no longer run. */
  async #removeLeftovers(base: string, signal: AbortSignal): Promise<void> {
    const asked = ["ps", "--all", "--external", "--filter", `ancestor=${base}`, "--format", "{{.ID}} {{.Status}}"];
    for (const line of ((await this.#ask(asked, signal)) ?? "").split("\n")) {
      const [id = "", status] = line.split(" ");
      if (status === "Storage") await this.#ask(["rm", "--force", id], signal);
    }
  }

  #start(
    args: readonly string[],
    input: "ignore" | "pipe",
    onLine: (line: string) => void,
    signal: AbortSignal,
    hasDescendants = false,
  ): ProgressProgram {
    const { podman, environment } = this.#setup;
    signal.throwIfAborted();
    return new ProgressProgram(podman, args, input, {
      environment,
      hasDescendants: hasDescendants && process.getuid?.() === 0,
      onLine,
      signal,
    });
  }

  /** Runs a short command; returns its output, or undefined when it answers no. */
  async #ask(args: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    const result = await this.#run(args, signal);
    return result.exitCode === 0 ? result.stdout.trim() : undefined;
  }

  #run(args: readonly string[], signal: AbortSignal): ReturnType<typeof runProgram> {
    return runProgram(this.#setup.podman, args, { env: this.#setup.environment, cwd: "/", signal });
  }
}

/** Files that apt's settings name, mounted under the same path. */
async function certificateMounts(aptSettings: readonly string[]): Promise<string[]> {
  const mounts: string[] = [];
  for (const path of filesNamedBy(aptSettings)) {
    if ((await stat(path).catch(() => undefined))?.isFile() === true) mounts.push(`${path}:${path}:ro`);
  }
  return mounts;
}

async function readText(program: ProgressProgram): Promise<string> {
  let text = "";
  program.child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(program.child, "close").catch(() => {});
  return text;
}
