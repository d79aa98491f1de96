import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { AppError, toAppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { ApiConnection, ApiRequest } from "../engine/api-connection.ts";
import type { ContainerFile } from "../engine/engine.ts";
import { readJsonLines } from "../engine/json-lines.ts";
import { makeTarArchive } from "../engine/tar-archive.ts";
import { APT_SETTINGS_FILE, filesNamedBy, type ImageBuild, type ImageStore, type StoredImage } from "./image-store.ts";

/** Milliseconds to remove what a build that was cut short left. */
const CLEAN_UP_MS = 10_000;
/** What is kept of a build's output for the message of a failure. */
const MAX_LAST_LINES = 12;
const MAX_LINE_CHARACTERS = 500;
const CONTAINERFILE = "Containerfile";
/** Folder, in the context of a build and in the image while it is built, of what this machine's apt needs. */
const MACHINE_FOLDER = "run/hardshare-machine";

/** One line of a reply that tells how something goes. Failures come late, with a status of 200 before. */
interface Progress {
  stream?: string;
  status?: string;
  id?: string;
  error?: string;
}

interface ImageJson {
  Id: string;
  RepoTags: string[] | null;
  Config: { Labels: Record<string, string> | null } | null;
}

/** Docker's storage, through its API. Builds take its classic builder: the newer one needs a program of Docker's beside us. */
export class DockerImages implements ImageStore {
  readonly #api: ApiConnection;
  readonly #clock: Clock;

  /** @param api disposed together with this */
  constructor(api: ApiConnection, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  async inspect(name: string, signal: AbortSignal): Promise<StoredImage | undefined> {
    const image = await this.#look(name, signal);
    return image === undefined ? undefined : { id: image.Id, labels: image.Config?.Labels ?? {} };
  }

  async pull(name: string, onLine: (line: string) => void, onAnswer: () => void, signal: AbortSignal): Promise<void> {
    const { repository, tag } = splitName(name);
    const asked = { method: "POST", path: "/images/create", query: { fromImage: repository, tag }, doing: `pull ${name}` } as const;
    for await (const { status = "", id } of this.#follow(asked, signal)) {
      onAnswer();
      if (/^(?:Pull|Digest|Status|Verif|Download complete|Already)/.test(status)) onLine(id === undefined ? status : `${id}: ${status}`);
    }
  }

  async importArchive(archive: Readable, signal: AbortSignal): Promise<string> {
    const asked = { method: "POST", path: "/images/create", query: { fromSrc: "-" }, archive, doing: "import a base system" } as const;
    let id = "";
    for await (const { status } of this.#follow(asked, signal)) id = status ?? id;
    return id;
  }

  async tag(image: string, name: string, signal: AbortSignal): Promise<void> {
    const { repository: repo, tag } = splitName(name);
    const asked = { method: "POST", path: `/images/${encodeURIComponent(image)}/tag`, query: { repo, tag } } as const;
    await this.#api.call({ ...asked, doing: `name the image ${name}` }, { signal });
  }

  async build(build: ImageBuild, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    const { name, base, labels, aptSettings } = build;
    const machine = await machineFiles(aptSettings);
    const archive = makeTarArchive([...(await contextFiles(build, machine)), ...machine], this.#clock.now());
    const query = {
      t: name,
      dockerfile: CONTAINERFILE,
      buildargs: JSON.stringify({ BASE: machine.length === 0 ? base : "machine" }),
      labels: JSON.stringify(labels),
      networkmode: "host",
      nocache: "true",
      rm: "true",
      forcerm: "true",
    };
    let newest: string | undefined;
    const lastLines: string[] = [];
    let rest = "";
    try {
      for await (const { stream = "" } of this.#follow(
        { method: "POST", path: "/build", query, archive, doing: `build ${name}` },
        signal,
      )) {
        newest = /^ ---> ([0-9a-f]{12})$/m.exec(stream)?.[1] ?? newest;
        const lines = (rest + stripVTControlCharacters(stream)).split(/\r?\n/);
        rest = lines.pop() ?? "";
        for (const line of lines.filter((text) => text.trim() !== "")) {
          lastLines.push(line.slice(0, MAX_LINE_CHARACTERS));
          if (lastLines.length > MAX_LAST_LINES) lastLines.shift();
          onLine(line);
        }
      }
    } catch (error) {
      if (newest !== undefined) await this.#removeUnnamed(newest).catch(() => {}); // then it stays until its owner prunes it
      if (signal.aborted) throw error;
      throw new AppError("program_failed", [toAppError(error).message, ...lastLines].join("\n"), { cause: error });
    }
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    await this.#api.call({ method: "DELETE", path: `/images/${id}`, doing: "remove an image" }, { signal }, [404, 409]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api[Symbol.asyncDispose]();
  }

  /** Removes what a build that was cut short left: its newest image, and those below it that have no name. */
  async #removeUnnamed(id: string): Promise<void> {
    const signal = AbortSignal.timeout(CLEAN_UP_MS);
    if ((await this.#look(id, signal))?.RepoTags?.length === 0) await this.remove(id, signal);
  }

  async #look(name: string, signal: AbortSignal): Promise<ImageJson | undefined> {
    const asked = { method: "GET", path: `/images/${encodeURIComponent(name)}/json`, doing: `look for the image ${name}` } as const;
    const { status, body } = await this.#api.call(asked, { signal }, [404]);
    return status === 404 ? undefined : (JSON.parse(body.toString("utf8")) as ImageJson);
  }

  async *#follow(asked: ApiRequest, signal: AbortSignal): AsyncGenerator<Progress> {
    let failure: string | undefined;
    try {
      for await (const progress of readJsonLines<Progress>(await this.#api.open(asked, signal))) {
        failure ??= progress.error;
        yield progress;
      }
    } catch (error) {
      signal.throwIfAborted();
      throw toAppError(error);
    }
    if (failure !== undefined) throw new AppError("engine_failed", `docker could not ${asked.doing}: ${failure}`);
  }
}

/** A name's tag stands behind the last colon after the last slash; a registry may have a port. */
function splitName(name: string): { repository: string; tag: string } {
  const colon = name.indexOf(":", name.lastIndexOf("/") + 1);
  return colon < 0 ? { repository: name, tag: "latest" } : { repository: name.slice(0, colon), tag: name.slice(colon + 1) };
}

/** The Containerfile as the classic builder understands it, and what lies beside it. */
async function contextFiles({ contextFolder, base }: ImageBuild, machine: readonly ContainerFile[]): Promise<ContainerFile[]> {
  const { text, modes } = withoutModes(await readFile(join(contextFolder, CONTAINERFILE), "utf8"));
  const owner = { uid: 0, gid: 0 };
  const read = async (path: string): Promise<ContainerFile> => {
    const mode = modes.get(path) ?? (await stat(join(contextFolder, path))).mode & 0o777;
    return { path, mode, ...owner, content: await readFile(join(contextFolder, path)) };
  };
  const others = (await readdir(contextFolder)).filter((path) => path !== CONTAINERFILE);
  return [
    { path: CONTAINERFILE, mode: 0o644, ...owner, content: withMachine(text, base, machine) },
    ...(await Promise.all(others.map(read))),
  ];
}

/** `COPY --chmod` is the newer builder's; with the classic one files have the mode that they have in the archive. */
function withoutModes(containerfile: string): { text: string; modes: Map<string, number> } {
  const modes = new Map<string, number>();
  const text = containerfile.replaceAll(/^COPY --chmod=([0-7]+) (\S+) /gm, (_line, mode: string, path: string) => {
    modes.set(path, Number.parseInt(mode, 8));
    return `COPY ${path} `;
  });
  return { text, modes };
}

/** apt's settings, and the certificates and keys that they name, as they lie in the context of a build. */
async function machineFiles(aptSettings: readonly string[]): Promise<ContainerFile[]> {
  if (aptSettings.length === 0) return [];
  let settings = aptSettings.map((line) => `${line}\n`).join("");
  const files: ContainerFile[] = [];
  for (const [index, path] of filesNamedBy(aptSettings).entries()) {
    const content = await readFile(path).catch(() => undefined);
    if (content === undefined) continue;
    const file = `${MACHINE_FOLDER}/${index}-${basename(path)}`;
    files.push({ path: file, mode: 0o644, uid: 0, gid: 0, content });
    settings = settings.replaceAll(`"${path}"`, `"/${file}"`);
  }
  return [...files, { path: `${MACHINE_FOLDER}/apt.conf`, mode: 0o644, uid: 0, gid: 0, content: settings }];
}

/**
 * The classic builder mounts nothing: what this machine's apt needs is laid onto the base for the time of the build.
 * It is hidden in the image afterwards, not gone from its layers.
 */
function withMachine(containerfile: string, base: string, machine: readonly ContainerFile[]): string {
  if (machine.length === 0) return containerfile;
  const settings = `/${MACHINE_FOLDER}/apt.conf`;
  const prepare = `COPY ${MACHINE_FOLDER} /${MACHINE_FOLDER}\nRUN ln -s ${settings} ${APT_SETTINGS_FILE}`;
  return `ARG BASE=machine\nFROM ${base} AS machine\n${prepare}\n${containerfile}\nRUN rm -rf ${APT_SETTINGS_FILE} /${MACHINE_FOLDER}\n`;
}
