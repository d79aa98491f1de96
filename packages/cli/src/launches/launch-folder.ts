import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { AppError, type InstanceView, parseWith, PublicKeyLine } from "@hardshare/protocol";
import { makePrivateFolder, parseYamlWith, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { stringify } from "yaml";
import * as z from "zod";

/** What is kept about a launch beside its key: where its private key is, and when nothing of it can be alive any more. */
const LaunchRecord = z.object({
  /** Private key, or the public one of a key that an agent holds; null: OpenSSH's own choice. */
  identityFile: z.string().nullable(),
  /** Latest end, in milliseconds since 1970; null until the server told it. */
  endsAt: z.number().nullable(),
});
export type LaunchRecord = z.infer<typeof LaunchRecord>;

/** Milliseconds after its latest end that a launch's files are kept for a late look. */
const KEEP_MS = 3_600_000;
/** The same for a launch of which no end is known, and for one that was killed before it had an id. */
const KEEP_UNKNOWN_MS = 30 * 24 * 3_600_000;
const KEEP_UNNAMED_MS = 24 * 3_600_000;
const UNNAMED = "new-";
const RECORD = "launch.yaml";

/** Files of the user's own launches: one private folder per instance, below the state folder. */
export class LaunchFolders {
  readonly #folder: string;

  constructor(stateFolder: string) {
    this.#folder = join(stateFolder, "launches");
  }

  path(instanceId: string, ...parts: string[]): string {
    return join(this.#folder, instanceId, ...parts);
  }

  /** A folder for a launch that has no id yet, with a key in it: the given one or a new one. */
  async prepare(options: { uuid: string; publicKeyFile: string | undefined }): Promise<PreparedLaunch> {
    const temporary = join(this.#folder, `${UNNAMED}${options.uuid}`);
    await makePrivateFolder(temporary);
    try {
      const { publicKey, identityFile } =
        options.publicKeyFile === undefined ? await makeKey(temporary) : await adoptKey(options.publicKeyFile, temporary);
      return {
        publicKey,
        adopt: async (instanceId) => {
          await rename(temporary, this.path(instanceId));
          const moved = identityFile.startsWith(temporary) ? this.path(instanceId) + identityFile.slice(temporary.length) : identityFile;
          await this.writeRecord(instanceId, { identityFile: moved, endsAt: null });
        },
        discard: () => rm(temporary, { recursive: true, force: true }),
      };
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  async readRecord(instanceId: string): Promise<LaunchRecord | undefined> {
    const path = this.path(instanceId, RECORD);
    const text = await readTextIfThere(path);
    return text === undefined ? undefined : parseYamlWith(LaunchRecord, text, path);
  }

  async writeRecord(instanceId: string, record: LaunchRecord): Promise<void> {
    await makePrivateFolder(this.path(instanceId));
    await writeFileDurably(this.path(instanceId, RECORD), stringify(record));
  }

  async remove(instanceId: string): Promise<void> {
    await rm(this.path(instanceId), { recursive: true, force: true });
  }

  /** Removes what is left of launches that ended long ago. */
  async prune(nowMs: number): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#folder)) {
      if ((await this.#keptUntilMs(name)) < nowMs) await this.remove(name);
    }
  }

  async #keptUntilMs(name: string): Promise<number> {
    const record = await this.readRecord(name).catch(() => undefined);
    if (record !== undefined && record.endsAt !== null) return record.endsAt + KEEP_MS;
    const { mtimeMs } = await stat(this.path(name));
    return mtimeMs + (name.startsWith(UNNAMED) ? KEEP_UNNAMED_MS : KEEP_UNKNOWN_MS);
  }
}

export interface PreparedLaunch {
  /** OpenSSH public key line to send to the server. */
  publicKey: string;
  /** Gives the folder the id of the instance. */
  adopt(instanceId: string): Promise<void>;
  /** Removes the folder and its key, when there is no launch. */
  discard(): Promise<void>;
}

/** When an instance ends at the latest: its `expires` has no zone and is UTC. */
export function latestEndMs(view: InstanceView): number | null {
  return view.expires === undefined ? null : Date.parse(`${view.expires.replace(" ", "T")}Z`);
}

async function makeKey(folder: string): Promise<{ publicKey: string; identityFile: string }> {
  const { makeKeyPair } = await import("@hardshare/client/node");
  const identity = await makeKeyPair("hardshare");
  const identityFile = join(folder, "key");
  await writeFileDurably(identityFile, identity.privateKey);
  await writeFileDurably(`${identityFile}.pub`, `${identity.publicKey}\n`);
  return { publicKey: identity.publicKey, identityFile };
}

/** The user's own key: used where it lies if its private half is beside it, else by an agent. */
async function adoptKey(file: string, folder: string): Promise<{ publicKey: string; identityFile: string }> {
  const text = await readTextIfThere(file).catch(() => undefined);
  if (text === undefined) {
    throw new AppError("bad_input", `--public-key: can't read ${file}; name the .pub file of a key, such as ~/.ssh/id_ed25519.pub`, {
      details: { field: "public-key" },
    });
  }
  const publicKey = parseWith(PublicKeyLine, text, `--public-key: ${file}`);
  const privateFile = file.replace(/\.pub$/, "");
  if (privateFile !== file && (await readTextIfThere(privateFile).catch(() => "unreadable")) !== undefined) {
    return { publicKey, identityFile: privateFile };
  }
  const identityFile = join(folder, "key.pub");
  await writeFileDurably(identityFile, `${publicKey}\n`);
  return { publicKey, identityFile };
}
