import { join } from "node:path";
import { AppError, DeploymentId, HostId, PublicKeyLine } from "@hardshare/protocol";
import { parseYamlWith, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { type Document, parseDocument } from "yaml";
import * as z from "zod";

/** Address of a server, without a path at its end. */
const ServerUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#]+(\/[^\s?#]*)?$/, "expected the address of a server, such as https://robots.example.org")
  .transform((text) => text.replace(/\/+$/, ""));

/** `$HARDSHARE_HOME/config.yaml`: who this host is, and what it may offer. */
export const HostConfig = z.strictObject({
  server: ServerUrl.optional(),
  /** The server's identity key, pinned when the first deployment was registered. */
  server_key: PublicKeyLine.optional(),
  /** Id that the server gave this host. */
  host: HostId.optional(),
  deployments: z
    .array(
      z.strictObject({
        id: DeploymentId,
        owner: z.string().optional(),
        /** Contract file, relative to this file; `deployments/<id>.yaml` unless told otherwise. */
        contract: z.string().min(1).optional(),
      }),
    )
    .default([]),
});
export type HostConfig = z.infer<typeof HostConfig>;

/** Files of `$HARDSHARE_HOME`. */
export function configFile(home: string): string {
  return join(home, "config.yaml");
}
export function identityFile(home: string): string {
  return join(home, "identity");
}
/** The contract file of one of its deployments, as an absolute path. */
export function contractFile(home: string, deployment: HostConfig["deployments"][number]): string {
  const path = deployment.contract ?? join("deployments", `${deployment.id}.yaml`);
  return path.startsWith("/") ? path : join(home, path);
}

/** @throws AppError `not_configured` when `init` has not run, `config_invalid` with line and column */
export async function readHostConfig(home: string): Promise<HostConfig> {
  const path = configFile(home);
  const text = await readTextIfThere(path);
  if (text === undefined) {
    throw new AppError(
      "not_configured",
      `this computer is not set up as a host: ${path} is not there; run \`hardshare init\`, or \`hardshare register --server URL --token-file FILE\``,
    );
  }
  return parseYamlWith(HostConfig, text, path);
}

/** Changes the configuration and keeps its comments. What would not fit the schema is not written. */
export async function editHostConfig(home: string, edit: (document: Document) => void): Promise<HostConfig> {
  await readHostConfig(home);
  const path = configFile(home);
  const document = parseDocument((await readTextIfThere(path)) ?? "");
  edit(document);
  const text = document.toString();
  const config = parseYamlWith(HostConfig, text, path);
  await writeFileDurably(path, text);
  return config;
}
