/** What only a real Docker, and one that is restarted, can show. */
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { runProgram, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { TestDocker, whyNoDocker } from "@hardshare/testkit/docker";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openImageStore } from "../image/open-image-store.ts";
import { describeWithEngine } from "../testing/real-engines.fixture.ts";
import type { ContainerExit, ContainerFile, Engine } from "./engine.ts";
import { openDockerEngine } from "./open-docker.ts";
import { makeTarArchive } from "./tar-archive.ts";

const folder = await mkdtemp(join(tmpdir(), "hs-docker-test-"));
afterAll(() => rm(folder, { recursive: true }));
const open = (environment: NodeJS.ProcessEnv, provider: "docker" | "docker-rootless" = "docker") =>
  openDockerEngine({ provider, environment, clock: systemClock, random: systemRandom, logger: silentLogger });

describeWithEngine("a docker that is restarted", { problem: whyNoDocker() }, () => {
  const image = "localhost/hardshare/nothing:1";
  const label = { "io.hardshare.test": "restart" };
  let docker: TestDocker;
  let engine: Engine;
  beforeAll(async () => {
    docker = await TestDocker.start();
    engine = await open({ DOCKER_HOST: docker.host });
  }, 120_000);
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]();
    await docker?.[Symbol.asyncDispose]();
  });

  test("an archive that is still being made becomes an image with a name", async () => {
    const common = { provider: "docker", folder, environment: { DOCKER_HOST: docker.host }, logger: silentLogger } as const;
    await using store = await openImageStore(common);
    const { signal } = new AbortController();
    const archive = makeTarArchive(await readPrograms("timeout", "sleep"), 0);
    const id = await store.importArchive(Readable.from([archive.subarray(0, 700), archive.subarray(700)]), signal);
    await store.tag(id, image, signal);
    expect(await store.inspect(image, signal)).toMatchObject({ id, labels: {} });
    await expect(store.importArchive(Readable.from(["no archive"]), signal)).rejects.toMatchObject({ code: "engine_failed" });
  });

  test("tells of the containers that its end took with it, and calls wait until it is back", async () => {
    const exits: ContainerExit[] = [];
    const controller = new AbortController();
    const id = await engine.createContainer({
      image,
      name: "hs-restart",
      hostname: "robot",
      labels: label,
      env: {},
      command: ["/usr/bin/timeout", "1000", "/usr/bin/sleep", "1000"], // the first process, so only what it handles ends it
      limits: { memoryBytes: 64 * 1024 ** 2, cpus: 0.5, pids: 32 },
      devices: [],
      network: "none",
    });
    await engine.startContainer(id);
    const exited = new Promise<void>((resolve, reject) => {
      const onExit = (exit: ContainerExit) => {
        exits.push(exit);
        resolve();
      };
      engine.watchExits(label, onExit, controller.signal).catch(reject);
    });
    await engine.version(); // it watches
    await docker.stop();
    const asked = engine.inspectContainer(id);
    await docker.startAgain();
    await exited;
    controller.abort();
    expect(exits[0]).toMatchObject({ id, labels: label });
    expect(await asked).toMatchObject({ id });
    await engine.removeContainer(id);
  });
});

describe("a docker that cannot be used", () => {
  const socketPath = join(folder, "docker.sock");
  const environment = { DOCKER_HOST: `unix://${socketPath}`, PATH: process.env["PATH"] };
  let server: Server | undefined;
  afterEach(async () => {
    server?.close();
    await rm(socketPath, { force: true });
  });

  /** What answers as Docker does, with these words. */
  async function listen(answers: Record<string, unknown>): Promise<void> {
    server = createServer((request, response) => response.end(JSON.stringify(answers[request.url ?? ""])));
    server.listen(socketPath);
    await once(server, "listening");
  }

  test("because it does not run: says where it was looked for, and how to start or install it", async () => {
    const where = `${socketPath}, from DOCKER_HOST`;
    const installed = whyNoDocker() === "needs docker.io" ? "missing" : "failed";
    const says = {
      missing: /^docker is not installed, and nothing listens on/,
      failed: /^docker does not answer on .* Start it with: sudo/,
    };
    const refusal = open(environment);
    await expect(refusal).rejects.toMatchObject({ code: `engine_${installed}`, message: expect.stringMatching(says[installed]) as string });
    await expect(refusal).rejects.toThrow(where);
    await expect(open({ XDG_RUNTIME_DIR: folder }, "docker-rootless")).rejects.toThrow(`${socketPath}, in $XDG_RUNTIME_DIR`);
  });

  test("because it is too old: says what it speaks, and what is needed", async () => {
    await listen({ "/version": { Version: "18.9", ApiVersion: "1.39" }, "/info": {} });
    await expect(open(environment)).rejects.toMatchObject({
      code: "engine_missing",
      message: `docker 18.9 speaks version 1.39 of its API, and 1.41 (Docker 20.10) or newer is needed: upgrade it (${socketPath}, from DOCKER_HOST)`,
    });
  });

  test("because its socket is another user's: says so", async () => {
    await listen({});
    await chmod(folder, 0o755);
    await chmod(socketPath, 0o600);
    const { stderr } = await runProgram(
      "setpriv",
      ["--reuid=65534", "--clear-groups", "--inh-caps=-all", process.execPath, ...SOURCE, "--input-type=module", "-e", OPENING, socketPath],
      { cwd: fileURLToPath(new URL("../..", import.meta.url)) },
    );
    expect(stderr).toBe(`engine_missing: this user may not talk to docker on ${socketPath}, from DOCKER_HOST: run the host daemon as root`);
  });
});

const SOURCE = ["--import", import.meta.resolve("tsx"), "--conditions=@hardshare/source"];
const OPENING = `
  import { connectToDocker } from ${JSON.stringify(import.meta.resolve("./connect-docker.ts"))};
  await connectToDocker("docker", { DOCKER_HOST: "unix://" + process.argv[1] }, undefined).catch((error) => {
    process.stderr.write(error.code + ": " + error.message);
  });`;

/** Programs of this machine, with their libraries. */
async function readPrograms(...names: string[]): Promise<ContainerFile[]> {
  const paths = names.map((name) => `/usr/bin/${name}`);
  const { stdout } = await runProgram("ldd", paths);
  const libraries = stdout.match(/(?<=\s)\/\S+(?= \()/g) ?? [];
  const read = async (path: string) => ({ path: path.slice(1), mode: 0o755, uid: 0, gid: 0, content: await readFile(path) });
  return Promise.all([...paths, ...new Set(libraries)].map(read));
}
