/**
 * The configuration of the existing host client (`~/.rerobots`), as it lies on this computer: read and checked, never
 * changed. Called by the import; knows nothing of what becomes of it.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError, DeploymentId, TokenClaims } from "@hardshare/protocol";
import * as z from "zod";

/** A deployment of it. `env` and `services` are of its newer versions only. */
export const OldDeployment = z.looseObject({
  id: z.string().toLowerCase().pipe(DeploymentId),
  owner: z.string().optional(),
  cprovider: z.string(),
  cargs: z.array(z.string()).default([]),
  container_name: z.string().default("rrc"),
  env: z.record(z.string(), z.string()).default({}),
  init_inside: z.array(z.string()).default([]),
  services: z.record(z.string(), z.string()).default({}),
  terminate: z.array(z.string()).default([]),
  monitor: z.string().nullish(),
  image: z.string().nullish(),
  url: z.string().nullish(),
  ssh_key: z.string().nullish(),
});
export type OldDeployment = z.infer<typeof OldDeployment>;

const OldConfiguration = z.looseObject({
  version: z.literal(0, { error: "expected 0, the only version there is" }),
  wdeployments: z.array(OldDeployment).default([]),
  ssh_key: z.string().nullish(),
  api_tokens: z.unknown(),
  default_org: z.string().nullish(),
  known_orgs: z.array(z.string()).default([]),
});

/** A file in its folder of tokens. */
interface OldToken {
  name: string;
  /** Undefined for one that can't be used. */
  token?: string;
  /** Why it can't be used. */
  problem?: string;
}

export interface ReadConfiguration {
  /** The file. */
  file: string;
  deployments: OldDeployment[];
  defaultOrg: string | null;
  tokens: OldToken[];
  /** What is not known here, or not taken over, as sentences. */
  warnings: string[];
}

/**
 * Reads a configuration of the existing host client: of its version 0.13.1, or newer.
 * @param path its folder, or the file `main` in it
 * @throws AppError `not_found`, `config_invalid` that names file and field
 */
export async function readOldConfiguration(path: string, nowMs: number): Promise<ReadConfiguration> {
  const file = await findMain(path);
  const parsed = OldConfiguration.safeParse(parseJson(await readFile(file, "utf8"), file));
  if (!parsed.success) throw invalid(file, parsed.error.issues);
  const { wdeployments, default_org: defaultOrg = null } = parsed.data;
  const twice = wdeployments.find(({ id }, index) => wdeployments.findIndex((it) => it.id === id) !== index);
  if (twice !== undefined) throw new AppError("config_invalid", `${file}: wdeployments: deployment ${twice.id} is there twice`);
  return {
    file,
    deployments: wdeployments,
    defaultOrg,
    tokens: await readTokens(join(dirname(file), "tokens"), nowMs),
    warnings: [
      ...unknownKeys(parsed.data, OldConfiguration).map((key) => `${file}: there is no field ${key} here: it is not taken over`),
      ...wdeployments.flatMap((it, index) =>
        unknownKeys(it, OldDeployment).map((key) => `${file}: wdeployments.${index}: there is no field ${key} here: it is not taken over`),
      ),
    ],
  };
}

async function findMain(path: string): Promise<string> {
  try {
    return (await stat(path)).isDirectory() ? join(path, "main") : path;
  } catch (cause) {
    throw new AppError("not_found", `there is no ${path}; name the folder of the existing client, such as ~/.rerobots, or its file main`, {
      cause,
    });
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError("config_invalid", `${file} is not the configuration of the existing client: ${(cause as Error).message}`, { cause });
  }
}

function invalid(file: string, issues: readonly z.core.$ZodIssue[]): AppError {
  const told = issues.map(({ path, message }) => `${file}: ${path.map(String).join(".")}: ${message.replace(/^Invalid input: /, "")}`);
  return new AppError("config_invalid", told.join("\n"), { details: { file } });
}

function unknownKeys(value: object, schema: { shape: object }): string[] {
  return Object.keys(value).filter((key) => !(key in schema.shape));
}

async function readTokens(folder: string, nowMs: number): Promise<OldToken[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const tokens = entries.map(async (entry): Promise<OldToken> => {
    const { name } = entry;
    if (!entry.isFile()) return { name, problem: "it is no file" };
    const token = (await readFile(join(folder, name), "utf8")).trim();
    const claims = claimsOf(token);
    if (claims === undefined) return { name, problem: "it holds no API token" };
    const expires = new Date(claims.exp * 1000);
    return expires.getTime() <= nowMs ? { name, problem: `it expired at ${expires.toISOString()}` } : { name, token };
  });
  return (await Promise.all(tokens)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function claimsOf(token: string): TokenClaims | undefined {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
  try {
    return TokenClaims.safeParse(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())).data;
  } catch {
    return undefined;
  }
}
