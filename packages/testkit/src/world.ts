import { chmod, copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { HardshareClient } from "@hardshare/client";
import { type HostDaemon, initHost, registerDeployment, startHostDaemon } from "@hardshare/host";
import { type Hub, startHub } from "@hardshare/hub";
import { createLogger, type Failpoints, noFailpoints, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { type RunningServer, startServer } from "@hardshare/server";
import { type Robot, startRobot } from "@hardshare/sim";

/** The text of a contract; `robot` is `host:port` of the simulated robot. */
export type ContractFor = (robot: string) => string;

/** How this command is run again, from the sources: filters are processes of their own. */
const SELF_COMMAND = [
  process.execPath,
  "--import",
  import.meta.resolve("tsx"),
  "--conditions=@hardshare/source",
  fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url)),
];

export interface WorldOptions {
  /** Port of the server; a free one unless told otherwise. */
  port?: number;
  /** Contracts of the deployments to register, in this order; one proxy deployment unless told otherwise. */
  contracts?: readonly ContractFor[];
  /** Where the host fails, for tests. */
  failpoints?: Failpoints;
  /** Logs of all parts on standard error. */
  isLogging?: boolean;
}

/** A contract whose tunnel ends at a filter before the robot, with the demo's rules: no container needed. */
export function proxyContract(robot: string): string {
  return `provider: proxy\npublic_port: true\nservices: [{ name: ROBOT, filter: http, target: "${robot}", rules: robot.rules.yaml }]\n`;
}

/**
 * A whole world in one process: server with its private database, hub, robot, and a host whose filters are real child
 * processes. For tests and `npm run dev`. Disposing it leaves nothing behind.
 */
export interface World extends AsyncDisposable {
  readonly folder: string;
  readonly server: RunningServer;
  readonly robot: Robot;
  readonly hub: Hub;
  readonly host: HostDaemon;
  /** Ids of the deployments, in the order of the contracts. */
  readonly deployments: readonly string[];
  /** The administrator, who owns the deployments. */
  readonly admin: HardshareClient;
  readonly adminToken: string;
}

/** Starts everything in order; what had been started ends again, last first, when a part fails and at the end. */
export async function bootWorld(options: WorldOptions = {}): Promise<World> {
  const undo: (() => Promise<unknown>)[] = [];
  const end = async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  };
  const own = <Part extends AsyncDisposable>(part: Part): Part => {
    undo.push(async () => part[Symbol.asyncDispose]());
    return part;
  };
  const deps = (program: string) => ({
    clock: systemClock,
    random: systemRandom,
    logger: options.isLogging === true ? createLogger(program) : silentLogger,
  });
  try {
    // Not below a private folder: the database's own user must be able to enter.
    const folder = await mkdtemp(join(tmpdir(), "hardshare-world-"));
    undo.push(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o711);
    const robot = own(await startRobot({ host: "127.0.0.1", port: 0, ...deps("robot") }));
    const serverPlace = { dataFolder: join(folder, "server"), host: "127.0.0.1", port: options.port ?? 0 };
    const server = own(await startServer({ ...serverPlace, ...deps("server") }));
    const adminToken = (await readFile(server.adminTokenFile, "utf8")).trim();
    const hubPlace = { dataFolder: join(folder, "hub"), name: "hub", publicHost: "127.0.0.1", bindHost: "127.0.0.1", sshPort: 0 };
    const hub = own(
      await startHub({ ...hubPlace, serverUrl: server.url, token: adminToken, firstPort: 22_000, lastPort: 27_999, ...deps("hub") }),
    );
    await hub.ready;
    const home = join(folder, "host");
    const deployments = await registerAll(home, server.url, adminToken, robot, options.contracts ?? [proxyContract]);
    const host = own(
      await startHostDaemon({
        home,
        state: join(folder, "host-state"),
        selfCommand: SELF_COMMAND,
        environment: process.env,
        softwareVersion: "testkit",
        failpoints: options.failpoints ?? noFailpoints,
        ...deps("host"),
      }),
    );
    await host.ready;
    const admin = new HardshareClient({ url: server.url, token: adminToken });
    return { folder, server, robot, hub, host, deployments, admin, adminToken, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Sets a host up with the demo's filter rules beside its contracts, and registers its deployments. */
async function registerAll(
  home: string,
  server: string,
  token: string,
  robot: Robot,
  contracts: readonly ContractFor[],
): Promise<string[]> {
  await initHost({ home, server });
  await mkdir(join(home, "deployments"), { recursive: true });
  const rules = new URL("../demo/robot.rules.yaml", import.meta.resolve("@hardshare/sim"));
  await copyFile(rules, join(home, "deployments", "robot.rules.yaml"));
  const ids: string[] = [];
  for (const contractFor of contracts) {
    const contract = contractFor(new URL(robot.url).host);
    const { id } = await registerDeployment({ home, token, contract, permitMore: true });
    ids.push(id);
  }
  return ids;
}
