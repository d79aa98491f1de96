/**
 * `hardshare up`: the whole system on one computer, for trying out. A supervisor: it starts the other programs through the
 * same command line as a person would, keeps them running, and ends them in order. It knows nothing of what they do.
 */
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AppError, parseWith } from "@hardshare/protocol";
import { lockFolder } from "@hardshare/runtime";
import * as z from "zod";
import type { CliContext, Invocation } from "../context.ts";
import { untilInterrupted } from "../infrastructure/serving.ts";
import { clientFor } from "../login/credentials.ts";
import { readTokenFile } from "../login/token-file.ts";
import { type ContainerSupport, prepareContainers } from "./container-support.ts";
import { hostHome, engineOfContract, hostState, setUpHost } from "./host-of-up.ts";
import { ProgramStack } from "./kept-running.ts";
import { lockForPrograms } from "./programs-lock.ts";
import { choosePorts, defaultDataFolder, loadSettings, type UpSettings } from "./settings.ts";
import { formatUpFacts, type UpFacts } from "./summary.ts";

export interface UpFlags {
  port: number;
  dataDir?: string;
  container: boolean;
}

/** Milliseconds for the host to end its instances and clean up, with the contracts' programs for ending. */
const HOST_GRACE_MS = 150_000;
const GRACE_MS = 15_000;
/** Others may pass through the data folder (the private database's user has to), but not look into it. */
const PASSABLE = 0o711;

const ServerSaid = z.object({ url: z.string(), adminTokenFile: z.string() });
const HubSaid = z.object({ host: z.string(), sshPort: z.int(), hostKey: z.string() });
const RobotSaid = z.object({ url: z.string(), serial: z.string().nullable(), serialProblem: z.string().nullable() });

/**
 * Runs everything until interrupted.
 * @throws AppError `conflict` when another one works on the data folder, `port_in_use`, and what a program did not start with
 */
export async function runUp(invocation: Invocation, flags: UpFlags): Promise<void> {
  const { context, output } = invocation;
  const { interrupted } = context;
  const dataFolder = resolve(flags.dataDir ?? defaultDataFolder(context.environment));
  await mkdir(dataFolder, { recursive: true, mode: PASSABLE });
  await using _lock = await lockFolder({ folder: dataFolder, name: "up.lock", holder: "another `hardshare up`" });
  await using programsLock = await lockForPrograms(dataFolder, {
    signal: interrupted,
    onWait: () => output.progress("waiting until the programs of the last `up`, whose supervisor was killed, have ended"),
  });
  await using programs = new ProgramStack();
  const settings = await loadSettings(dataFolder, context.random);
  const ports = await choosePorts(dataFolder, settings, flags.port, context.random);
  const giveUp = new AbortController();
  const signal = AbortSignal.any([interrupted, giveUp.signal]);
  // The image takes longest when it is built: meanwhile the rest starts.
  const containers = prepareContainers(invocation, {
    isWanted: flags.container,
    stateFolder: hostState(dataFolder),
    provider: await engineOfContract(dataFolder, settings),
    signal,
  });
  containers.catch(() => {}); // another failure may come first
  try {
    const started = await startAll(invocation, {
      dataFolder,
      settings,
      serverPort: ports.server,
      heldDescriptor: programsLock.descriptor,
      programs,
      containers,
    });
    const { facts, ...more } = started;
    if (!interrupted.aborted)
      output.result(facts, () =>
        formatUpFacts(facts, {
          ...more,
          host: { home: hostHome(dataFolder), state: hostState(dataFolder) },
          commandName: context.commandName,
        }),
      );
  } catch (error) {
    if (interrupted.aborted) throw new AppError("cancelled", "stopped before everything was up", { cause: error });
    throw error;
  } finally {
    giveUp.abort();
    await containers.catch(() => {});
  }
  await untilInterrupted(context);
  output.progress("ending everything (instances first)");
}

interface StartOptions {
  dataFolder: string;
  settings: UpSettings;
  serverPort: number;
  heldDescriptor: number;
  programs: ProgramStack;
  containers: Promise<ContainerSupport>;
}

async function startAll(
  invocation: Invocation,
  { dataFolder, settings, serverPort, heldDescriptor, programs, containers }: StartOptions,
): Promise<{ facts: UpFacts; tokenFile: string; missing: string | undefined }> {
  const { context, options, output } = invocation;
  const { interrupted, random, clock } = context;
  const start = async <T>(schema: z.ZodType<T>, name: string, args: readonly string[], graceMs = GRACE_MS): Promise<T> => {
    output.progress(`starting ${name}`);
    const said = await untilAborted(
      programs.start({
        name,
        command: ourCommand(context, options.verbose, args),
        variables: variablesOf(context, dataFolder),
        log: context.stderr,
        heldDescriptor,
        graceMs,
        clock,
        random,
      }),
      interrupted,
    );
    return parseWith(schema, said, `first line of ${name}`, "protocol_violation");
  };
  const folder = (name: string) => join(dataFolder, name);

  const robot = await start(RobotSaid, "robot", ["sim", "--port", String(settings.robot_port), "--serial", folder("robot-serial")]);
  if (robot.serialProblem !== null) output.progress(`the robot has no serial line: ${robot.serialProblem}`);
  const server = await start(ServerSaid, "server", ["serve", "--data-dir", folder("server"), "--port", String(serverPort)]);
  const token = await readTokenFile(server.adminTokenFile);
  const at = ["--server", server.url, "--token-file", server.adminTokenFile];
  const hub = await start(HubSaid, "hub", ["hub", "--data-dir", folder("hub"), "--ssh-port", String(settings.hub_port), ...at]);
  const support = await containers;
  if (!support.canRun && support.problem !== undefined) invocation.tell(support.problem);
  const deployments = await setUpHost({
    dataFolder,
    server: server.url,
    token,
    robot: new URL(robot.url).host,
    engine: support.canRun ? support.provider : undefined,
    settings,
  });
  await start(z.unknown(), "host", ["ad", ...deployments.map((it) => it.id)], HOST_GRACE_MS);
  const { user } = await clientFor({ url: server.url, token }).whoami();
  return {
    facts: {
      url: server.url,
      user,
      token,
      deployments,
      hub: { host: hub.host, sshPort: hub.sshPort, hostKey: hub.hostKey },
      robot: { url: robot.url },
    },
    tokenFile: server.adminTokenFile,
    missing: support.canRun ? undefined : support.why,
  };
}

function ourCommand(context: CliContext, isVerbose: boolean | undefined, args: readonly string[]): [string, ...string[]] {
  return [...context.selfCommand, "--format", "json", ...(isVerbose ? ["--verbose"] : []), ...args];
}

/** The environment of the programs: their own folders, and nothing of the user's own hardshare. */
function variablesOf(context: CliContext, dataFolder: string): Record<string, string | undefined> {
  const { HARDSHARE_SERVER: _server, ...others } = context.environment.variables;
  return { ...others, HARDSHARE_HOME: hostHome(dataFolder), HARDSHARE_STATE: hostState(dataFolder) };
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason as Error);
    signal.addEventListener("abort", giveUp, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", giveUp));
  });
}
