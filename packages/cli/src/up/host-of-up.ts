import { join } from "node:path";
import { DeploymentId } from "@hardshare/protocol";
import { readTextIfThere, writeFileDurably } from "@hardshare/runtime";
import { parseDocument } from "yaml";
import type { DemoEngine } from "./container-support.ts";
import { containerDemo, type DemoDeployment, placeDemoRules, proxyDemo } from "./demo.ts";
import { saveSettings, type UpSettings } from "./settings.ts";

export interface HostOfUpOptions {
  dataFolder: string;
  server: string;
  token: string;
  /** `host:port` of the robot. */
  robot: string;
  /** What runs containers here; undefined when nothing does. */
  engine: DemoEngine | undefined;
  settings: UpSettings;
}

/** The folder that is `HARDSHARE_HOME` of the demo's host. */
export function hostHome(dataFolder: string): string {
  return join(dataFolder, "host");
}

/** The folder that is `HARDSHARE_STATE` of the demo's host. */
export function hostState(dataFolder: string): string {
  return join(dataFolder, "host-state");
}

/**
 * Sets the demo's host up and registers what is not registered yet; a start that was interrupted goes on where it was.
 * @returns the deployments to advertise
 */
export async function setUpHost(options: HostOfUpOptions): Promise<{ id: string; type: string; provider: string }[]> {
  const { dataFolder, server, settings } = options;
  const home = hostHome(dataFolder);
  await initOrMove(home, server);
  await placeDemoRules(join(home, "deployments"));
  await findRegistered(home, settings);
  const proxy = proxyDemo(options.robot);
  settings.proxy ??= (await register(options, proxy)) as UpSettings["proxy"];
  await saveSettings(dataFolder, settings);
  const advertised = [{ id: String(settings.proxy), type: proxy.type, provider: proxy.provider }];
  if (options.engine === undefined) return advertised;
  const container = containerDemo(options.robot, options.engine);
  settings.container ??= (await register(options, container)) as UpSettings["container"];
  await saveSettings(dataFolder, settings);
  return [{ id: String(settings.container), type: container.type, provider: container.provider }, ...advertised];
}

/** The engine that the contract of the demo's container deployment names, once there is one. */
export async function engineOfContract(dataFolder: string, settings: UpSettings): Promise<DemoEngine | undefined> {
  if (settings.container === undefined) return undefined;
  const path = join(hostHome(dataFolder), "deployments", `${settings.container}.yaml`);
  const provider: unknown = parseDocument((await readTextIfThere(path)) ?? "").get("provider");
  return provider === "podman" || provider === "docker" ? provider : undefined;
}

/** A start that was killed after it had registered a deployment, and before it had noted that, must not register another. */
async function findRegistered(home: string, settings: UpSettings): Promise<void> {
  const { configuredDeployments } = await import("@hardshare/host");
  for (const id of await configuredDeployments({ home })) {
    const contract = parseDocument((await readTextIfThere(join(home, "deployments", `${id}.yaml`))) ?? "");
    settings[contract.get("provider") === "proxy" ? "proxy" : "container"] ??= DeploymentId.parse(id);
  }
}

async function initOrMove(home: string, server: string): Promise<void> {
  const path = join(home, "config.yaml");
  const text = await readTextIfThere(path);
  if (text === undefined) {
    const { initHost } = await import("@hardshare/host");
    await initHost({ home, server });
    return;
  }
  // The server may have another port than last time.
  const document = parseDocument(text);
  if (document.get("server") === server) return;
  document.set("server", server);
  await writeFileDurably(path, document.toString());
}

async function register(options: HostOfUpOptions, demo: DemoDeployment): Promise<string> {
  const { registerDeployment } = await import("@hardshare/host");
  const { id } = await registerDeployment({
    home: hostHome(options.dataFolder),
    server: options.server,
    token: options.token,
    type: demo.type,
    desc: demo.desc,
    contract: demo.contract,
    name: "demo",
    permitMore: true,
  });
  return id;
}
