import type { DockerProvider } from "./docker-sockets.ts";

/** What `GET /version` says, as far as it matters here. */
export interface DockerVersion {
  Version: string;
  ApiVersion: string;
  Components?: { Name: string }[];
}

/** What `GET /info` says, as far as it matters here. */
export interface DockerInfo {
  MemoryLimit: boolean;
  PidsLimit: boolean;
  CpuCfsQuota: boolean;
  SecurityOptions: string[] | null;
}

/** The oldest version of the API that is spoken here: that of Docker 20.10. */
const OLDEST_API = [1, 41] as const;

/** Why instances cannot be left to what answers as Docker, and what to do; undefined when they can. */
export function whyUnfit(provider: DockerProvider, version: DockerVersion, info: DockerInfo): string | undefined {
  if (version.Components?.[0]?.Name.startsWith("Podman") === true) {
    return "it is podman that answers there: write `provider: podman` into the contract";
  }
  if (isOlder(version.ApiVersion)) {
    return `docker ${version.Version} speaks version ${version.ApiVersion} of its API, and ${OLDEST_API.join(".")} (Docker 20.10) or newer is needed: upgrade it`;
  }
  const isRootless = info.SecurityOptions?.some((option) => option.split(",").includes("name=rootless")) === true;
  if (provider === "docker-rootless" && !isRootless) {
    return "the docker that answers there does not run rootless: write `provider: docker` into the contract, or start a rootless one";
  }
  const limits = { memory: info.MemoryLimit, processes: info.PidsLimit, processors: info.CpuCfsQuota };
  const missing = Object.entries(limits)
    .filter(([, isThere]) => !isThere)
    .map(([name]) => name);
  if (missing.length === 0) return undefined;
  const advice = isRootless
    ? "a rootless docker needs control groups version 2, delegated to its user"
    : "see the warnings of `docker info`";
  return `docker cannot limit the ${missing.join(", ")} of a container on this computer: ${advice}`;
}

function isOlder(apiVersion: string): boolean {
  const [major = 0, minor = 0] = apiVersion.split(".").map(Number);
  return major < OLDEST_API[0] || (major === OLDEST_API[0] && minor < OLDEST_API[1]);
}
