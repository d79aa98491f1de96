import { createHash } from "node:crypto";
import { join } from "node:path";
import { AppError, DeploymentId } from "@hardshare/protocol";
import { parseYamlWith, type Random, readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { stringify } from "yaml";
import * as z from "zod";
import type { Environment } from "../environment.ts";
import { isPortFree, pickFreePort } from "./free-port.ts";

/** What `up` keeps in its data folder, so that the next start is the same. */
export const UpSettings = z.strictObject({
  /** Only when `--port 0` let it be picked. */
  server_port: z.int().optional(),
  hub_port: z.int(),
  robot_port: z.int(),
  /** The demo's deployments. */
  proxy: DeploymentId.optional(),
  container: DeploymentId.optional(),
});
export type UpSettings = z.infer<typeof UpSettings>;

/** The data folder unless `--data-dir` names one: it depends on HOME too, so that two people who are root don't meet. */
export function defaultDataFolder(environment: Environment): string {
  if (environment.uid !== 0) return join(environment.dataRoot, "up");
  const hash = createHash("sha256").update(environment.userHome).digest("hex").slice(0, 8);
  return join(environment.dataRoot, `up-${hash}`);
}

function settingsFile(dataFolder: string): string {
  return join(dataFolder, "up.yaml");
}

/** The settings of the last start, or new ones with free ports. @throws AppError `config_invalid`, `no_port` */
export async function loadSettings(dataFolder: string, random: Random): Promise<UpSettings> {
  const text = await readTextIfThere(settingsFile(dataFolder));
  if (text !== undefined) return parseYamlWith(UpSettings, text, settingsFile(dataFolder));
  const hubPort = await pickFreePort(random, []);
  const settings = { hub_port: hubPort, robot_port: await pickFreePort(random, [hubPort]) };
  await saveSettings(dataFolder, settings);
  return settings;
}

export async function saveSettings(dataFolder: string, settings: UpSettings): Promise<void> {
  await writeFileDurably(settingsFile(dataFolder), stringify(settings));
}

/**
 * The server's port: the one asked for, or with 0 a free one that is kept.
 * @throws AppError `port_in_use`
 */
export async function choosePorts(dataFolder: string, settings: UpSettings, asked: number, random: Random): Promise<{ server: number }> {
  let server = asked;
  if (asked === 0) {
    server = settings.server_port ?? (await pickFreePort(random, [settings.hub_port, settings.robot_port]));
    settings.server_port = server;
    await saveSettings(dataFolder, settings);
  }
  if (!(await isPortFree(server))) {
    throw new AppError("port_in_use", `port ${server} is taken by another program: choose another one with --port`, {
      details: { port: server },
    });
  }
  for (const [name, field, port] of [
    ["hub", "hub_port", settings.hub_port],
    ["robot", "robot_port", settings.robot_port],
  ] as const) {
    if (await isPortFree(port)) continue;
    throw new AppError(
      "port_in_use",
      `port ${port} of the ${name} is taken by another program: end that one, or write another ${field} into ${settingsFile(dataFolder)}`,
      { details: { port } },
    );
  }
  return { server };
}
