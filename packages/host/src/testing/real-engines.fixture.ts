import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { borrowDocker } from "@hardshare/testkit/lending";
import { afterAll, describe, inject } from "vitest";
import type { Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/open-engine.ts";
import { preparePodman } from "../engine/podman-setup.ts";
import { ensureImage } from "../image/ensure-image.ts";

/** An engine of this machine, for one test file. */
export interface RealEngine {
  provider: "podman" | "docker";
  /** Why there is none here; on CI the tests then fail, elsewhere they are left out. */
  problem: string | undefined;
  /** What its programs and the host daemon inherit. */
  environment: NodeJS.ProcessEnv;
  /** A folder for what is kept about it. */
  folder: string;
  /** Makes the image of instances, if it is not there. */
  ensureImage(): Promise<void>;
  open(): Promise<Engine>;
}

/** podman, and a Docker that the test run started, in this order. Takes away at the end of the file what they kept. */
export async function findRealEngines(): Promise<RealEngine[]> {
  const folder = await mkdtemp(join(tmpdir(), "hs-engines-"));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return Promise.all([findPodman(folder), findDocker(folder)]);
}

async function findPodman(folder: string): Promise<RealEngine> {
  const environment = process.env;
  const common = { folder, environment, logger: silentLogger };
  const prepared = preparePodman(common).then(
    () => undefined,
    (error: Error) => error.message,
  );
  const problem = process.geteuid?.() === 0 ? await prepared : "needs root";
  return {
    ...makeEngine("podman", folder, environment, problem),
    ensureImage: async () => void (await ensureImage({ provider: "podman", ...common })),
  };
}

async function findDocker(folder: string): Promise<RealEngine> {
  const door = inject("lender");
  const { host, problem } = await borrowDocker(door);
  return {
    ...makeEngine("docker", folder, { ...process.env, DOCKER_HOST: host }, problem),
    ensureImage: async () => {
      const answer = await borrowDocker(door, "image");
      if (answer.problem !== undefined) throw new Error(answer.problem);
    },
  };
}

function makeEngine(
  provider: RealEngine["provider"],
  folder: string,
  environment: NodeJS.ProcessEnv,
  problem: string | undefined,
): Omit<RealEngine, "ensureImage"> {
  const time = { clock: systemClock, random: systemRandom, logger: silentLogger };
  let opened = 0;
  const open = () => openEngine(provider, { stateFolder: folder, socketFolder: join(folder, `s${(opened += 1)}`), environment, ...time });
  return { provider, folder, environment, problem, open };
}

/** Tests with a real engine; left out by name, with the reason, where there is none. */
export function describeWithEngine(name: string, { problem }: Pick<RealEngine, "problem">, tests: () => void): void {
  const isLeftOut = problem !== undefined && process.env["CI"] === undefined;
  describe.skipIf(isLeftOut)(isLeftOut ? `${name} (left out: ${problem})` : name, tests);
}
