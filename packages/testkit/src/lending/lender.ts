/**
 * Vitest's global set-up: one Docker and one PostgreSQL for all test files of a run, each started when the first asks for it.
 * Test files run in processes of their own, which end sooner, so the run's own process has them and is asked at a socket.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makePrivateDatabase, startTestCluster } from "@hardshare/db/testing";
import { ensureImage } from "@hardshare/host";
import { OwnedParts, runProgram, silentLogger } from "@hardshare/runtime";
import type { TestProject } from "vitest/node";
import { TestDocker, whyNoDocker } from "../test-docker.ts";
import type { Loans } from "./index.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Socket at which what is shared is asked for. */
    lender: string;
  }
}

/** By which the second project of a run learns of the first one's lender: their set-ups share a process, but no modules. */
const LENDER_VARIABLE = "HARDSHARE_TEST_LENDER";

export default async function setUp(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const known = process.env[LENDER_VARIABLE];
  if (known !== undefined) {
    project.provide("lender", known);
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), "hs-lender-"));
  await chmod(folder, 0o711); // PostgreSQL's own user goes through it
  const parts = new OwnedParts();
  let docker: Promise<TestDocker> | undefined;
  let image: Promise<void> | undefined;
  let cluster: Promise<{ connection: Loans["cluster"] }> | undefined;
  let privateDatabase: Promise<void> | undefined;
  const loans: { [What in keyof Loans]: () => Promise<Loans[What]> } = {
    docker: async () => {
      const problem = whyNoDocker();
      if (problem !== undefined) return { problem };
      docker ??= TestDocker.start().then((started) => parts.own(started));
      return { host: (await docker).host };
    },
    image: async () => {
      const { host } = await loans.docker();
      if (host !== undefined) await (image ??= makeImage(host, folder));
      return { host };
    },
    cluster: async () => (await (cluster ??= startTestCluster().then((started) => parts.own(started)))).connection,
    privateDatabase: async () => {
      const made = join(folder, "private-database");
      await (privateDatabase ??= makePrivateDatabase(made));
      return made;
    },
  };
  const server = createServer((socket) => void answer(socket, loans));
  server.listen(join(folder, "socket"));
  await once(server, "listening");
  process.env[LENDER_VARIABLE] = join(folder, "socket");
  project.provide("lender", join(folder, "socket"));
  return async () => {
    server.close();
    await Promise.allSettled([docker, cluster, privateDatabase]);
    await parts[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  };
}

async function answer(socket: Socket, loans: { [What in keyof Loans]: () => Promise<Loans[What]> }): Promise<void> {
  socket.on("error", () => {});
  const [what] = (await once(socket, "data")) as [Buffer];
  const asked: Promise<unknown> = loans[what.toString() as keyof Loans]();
  const answered = asked.then(
    (loan) => ({ loan }),
    (error: unknown) => ({ failure: String(error) }),
  );
  socket.end(JSON.stringify(await answered));
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
