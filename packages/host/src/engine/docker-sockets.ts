import { AppError } from "@hardshare/protocol";

/** The providers that are Docker's: the machine's, and one that an unprivileged user runs. */
export type DockerProvider = "docker" | "docker-rootless";

/** Where a Docker may listen. */
export interface DockerSocket {
  path: string;
  /** What says so, for messages. */
  from: string;
  /** The command that starts the Docker there. */
  start: string;
}

/** Where Docker's packages have it listen. */
const MACHINE_SOCKET = "/var/run/docker.sock";

/**
 * The socket on which a provider's Docker listens: `docker` is where DOCKER_HOST says, else the machine's;
 * `docker-rootless` the one in the user's runtime folder, as dockerd-rootless.sh makes it.
 * @throws AppError `engine_missing` when DOCKER_HOST names another computer, or there is no runtime folder
 */
export function findDockerSocket(provider: DockerProvider, environment: NodeJS.ProcessEnv): DockerSocket {
  if (provider === "docker-rootless") return rootlessSocket(environment["XDG_RUNTIME_DIR"]);
  const address = environment["DOCKER_HOST"] ?? "";
  const start = "sudo systemctl start docker";
  if (address === "") return { path: MACHINE_SOCKET, from: "Docker's usual socket", start };
  return { path: localPath(address), from: "from DOCKER_HOST", start };
}

function localPath(address: string): string {
  const path = /^unix:\/\/(\/.*)$/.exec(address)?.[1];
  if (path !== undefined) return path;
  throw new AppError(
    "engine_missing",
    `DOCKER_HOST is ${JSON.stringify(address)}: expected a socket of this computer, such as unix://${MACHINE_SOCKET}; ` +
      "devices and networks of containers elsewhere are out of reach. Unset it, or start `hardshare ad` with another value",
  );
}

function rootlessSocket(runtimeFolder = ""): DockerSocket {
  if (runtimeFolder.startsWith("/")) {
    return { path: `${runtimeFolder}/docker.sock`, from: "in $XDG_RUNTIME_DIR", start: "systemctl --user start docker" };
  }
  throw new AppError(
    "engine_missing",
    "`provider: docker-rootless` is the Docker that listens on $XDG_RUNTIME_DIR/docker.sock, and XDG_RUNTIME_DIR is not set: " +
      "set it to the folder of the user who runs that Docker, such as /run/user/1000",
  );
}
