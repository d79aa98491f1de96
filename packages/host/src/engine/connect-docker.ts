import { once } from "node:events";
import { connect } from "node:net";
import { AppError } from "@hardshare/protocol";
import { ApiConnection } from "./api-connection.ts";
import { orAborted } from "./call-limits.ts";
import { DockerEndpoint } from "./docker-endpoint.ts";
import { type DockerInfo, type DockerVersion, whyUnfit } from "./docker-facts.ts";
import { type DockerProvider, type DockerSocket, findDockerSocket } from "./docker-sockets.ts";
import { findProgram } from "./podman-facts.ts";

const ASK_VERSION = { method: "GET", path: "/version", doing: "say its version" } as const;

/**
 * A connection to the Docker of a provider, which runs already and is fit for instances.
 * @param environment says where it listens: DOCKER_HOST, XDG_RUNTIME_DIR
 * @throws AppError `engine_missing` (not installed, not permitted, or unfit), `engine_failed` (installed, but it does not
 *   answer); both say what to do
 */
export async function connectToDocker(
  provider: DockerProvider,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<ApiConnection> {
  const socket = findDockerSocket(provider, environment);
  await knock(socket, environment, signal);
  const api = new ApiConnection(new DockerEndpoint(socket.path));
  try {
    const version = await api.callForJson<DockerVersion>(ASK_VERSION, { signal });
    const info = await api.callForJson<DockerInfo>({ method: "GET", path: "/info", doing: "say what it can do" }, { signal });
    const why = whyUnfit(provider, version, info);
    if (why !== undefined) throw new AppError("engine_missing", `${why} (${nameOf(socket)})`);
    return api;
  } catch (error) {
    await api[Symbol.asyncDispose]();
    throw error;
  }
}

/** The version of the Docker of `provider: docker`. Throws as `connectToDocker` does. */
export async function askDockerVersion(environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  await using api = await connectToDocker("docker", environment, signal);
  return (await api.callForJson<DockerVersion>(ASK_VERSION, { signal })).Version;
}

/** Nothing is waited for here: what does not listen is told at once. */
async function knock(socket: DockerSocket, environment: NodeJS.ProcessEnv, signal: AbortSignal | undefined): Promise<void> {
  const caller = connect(socket.path);
  try {
    const connected = once(caller, "connect");
    await (signal === undefined ? connected : orAborted(connected, signal));
  } catch (error) {
    if (signal?.aborted === true) throw new AppError("cancelled", "stopped before docker answered", { cause: error });
    throw await explain(socket, environment, error);
  } finally {
    caller.destroy();
  }
}

async function explain(socket: DockerSocket, environment: NodeJS.ProcessEnv, error: unknown): Promise<AppError> {
  const cause = { cause: error };
  if ((error as NodeJS.ErrnoException).code === "EACCES") {
    return new AppError("engine_missing", `this user may not talk to docker on ${nameOf(socket)}: run the host daemon as root`, cause);
  }
  if ((await findProgram("dockerd", environment["PATH"])) === undefined) {
    const install = "Install it with: sudo apt-get install docker.io";
    return new AppError("engine_missing", `docker is not installed, and nothing listens on ${nameOf(socket)}. ${install}`, cause);
  }
  return new AppError("engine_failed", `docker does not answer on ${nameOf(socket)}. Start it with: ${socket.start}`, cause);
}

function nameOf({ path, from }: DockerSocket): string {
  return `${path}, ${from}`;
}
