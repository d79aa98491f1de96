import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DeploymentId } from "@hardshare/protocol";
import type { HostDaemon } from "../daemon/host-daemon.ts";
import { HostWorld } from "./host-world.fixture.ts";
import { NamespaceEngine } from "./namespace-engine.fixture.ts";

/** Contract of a deployment with a service that echoes, and programs that write down that they ran. */
export const SERVICE = `services: [{ name: ROBOT, command: ${process.execPath} serve.mjs }]\nterminate: [./terminate.sh]\nsafe_state: [./safe.sh]\n`;

export const SERVE = `import net from "node:net";
net.createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1", function () { console.log("127.0.0.1:" + this.address().port); });`;

/** A host whose daemon comes and goes, with containers that stay. */
export interface RestartWorld extends AsyncDisposable {
  readonly world: HostWorld;
  readonly engine: NamespaceEngine;
  readonly deployments: DeploymentId[];
  startWithEngine(): Promise<HostDaemon>;
  /** The text of a file beside the contracts, such as `ended` and `made-safe`; "" when there is none. */
  beside(name: string): Promise<string>;
}

export async function makeRestartWorld(contracts: readonly string[]): Promise<RestartWorld> {
  const { world, deployments } = await HostWorld.make(contracts);
  const engine = new NamespaceEngine(world.folder);
  await writeFile(join(world.home, "deployments", "serve.mjs"), SERVE);
  await world.script("terminate.sh", 'echo "$HARDSHARE_INSTANCE" >> ended');
  await world.script("safe.sh", 'echo "$HARDSHARE_INSTANCE" >> made-safe');
  return {
    world,
    engine,
    deployments,
    startWithEngine: () => world.start({ openEngine: async () => engine }),
    beside: (name) => readFile(join(world.home, "deployments", name), "utf8").catch(() => ""),
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      engine.killAll();
    },
  };
}
