/**
 * Vitest's global set-up: one Docker for all test files of a run, started when the first asks for it. Test files run in
 * processes of their own, which end sooner, so the run's own process has it and they ask at a socket (`borrow-docker.ts`).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureImage } from "@hardshare/host";
import { OwnedParts, runProgram, silentLogger } from "@hardshare/runtime";
import type { TestProject } from "vitest/node";
import type { DockerAnswer, DockerRequest } from "./borrow-docker.ts";
import { TestDocker, whyNoDocker } from "./test-docker.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Socket at which a Docker is asked for. */
    dockerDoor: string;
  }
}

/** By which the second project of a run learns of the first one's door: their set-ups share a process, but no modules. */
const DOOR_VARIABLE = "HARDSHARE_TEST_DOCKER_DOOR";

export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const known = process.env[DOOR_VARIABLE];
  if (known !== undefined) {
    project.provide("dockerDoor", known);
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), "hs-docker-door-"));
  const parts = new OwnedParts();
  let docker: Promise<TestDocker> | undefined;
  let image: Promise<void> | undefined;
  const answers: Record<DockerRequest, () => Promise<DockerAnswer>> = {
    docker: async () => {
      const problem = whyNoDocker();
      if (problem !== undefined) return { problem };
      docker ??= TestDocker.start().then((started) => parts.own(started));
      return { host: (await docker).host };
    },
    image: async () => {
      const { host } = await answers.docker();
      if (host !== undefined) await (image ??= makeImage(host, folder));
      return { host };
    },
  };
  const door = createServer((socket) => void answer(socket, answers));
  door.listen(join(folder, "door"));
  await once(door, "listening");
  process.env[DOOR_VARIABLE] = join(folder, "door");
  project.provide("dockerDoor", join(folder, "door"));
  return async () => {
    door.close();
    await docker?.catch(() => {});
    await parts[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  };
}

async function answer(socket: Socket, answers: Record<DockerRequest, () => Promise<DockerAnswer>>): Promise<void> {
  socket.on("error", () => {});
  const [request] = (await once(socket, "data")) as [Buffer];
  const answered = answers[request.toString() as DockerRequest]();
  socket.end(JSON.stringify(await answered.catch((error: unknown): DockerAnswer => ({ problem: String(error) }))));
}

/** The image is built as anybody's, but on podman's base: making that anew takes half a minute. */
async function makeImage(host: string, folder: string): Promise<void> {
  const environment = { ...process.env, DOCKER_HOST: host };
  const common = { folder, environment, logger: silentLogger };
  const makeBase = () => ensureImage({ provider: "podman", ...common }).then(findPodmanBase, () => undefined);
  const base = (await findPodmanBase()) ?? (await makeBase());
  if (base !== undefined) await copyImage(base, environment);
  await ensureImage({ provider: "docker", ...common });
}

async function findPodmanBase(): Promise<string | undefined> {
  const asked = ["images", "--format", "{{.Repository}}:{{.Tag}}", "localhost/hardshare/base"];
  const { stdout } = await runProgram("podman", asked).catch(() => ({ stdout: "" })); // not installed
  return stdout
    .trim()
    .split("\n")
    .find((name) => name !== "");
}

async function copyImage(name: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const copy = spawn("sh", ["-c", 'podman save --quiet "$0" | docker load --quiet', name], { env: environment, stdio: "ignore" });
  await once(copy, "exit");
}
