import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { containersWith, processesLeft, untilGone } from "./harness/leftovers.ts";
import { expectAnswer, World } from "./harness/world.ts";

let world: World;

beforeAll(async () => {
  world = await World.createFromNothing();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

interface Launched {
  id: string;
  status: string;
}

/** All that `up` says on standard output: these fields and no others. */
function ready(deployments: [type: string, provider: string][]): unknown {
  const url = expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) as unknown;
  return {
    url,
    user: "admin",
    token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/) as unknown,
    deployments: deployments.map(([type, provider]) => ({
      id: expect.stringMatching(/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/) as unknown,
      type,
      provider,
    })),
    hub: { host: "127.0.0.1", sshPort: expect.any(Number) as unknown, hostKey: expect.stringMatching(/^ssh-ed25519 \S+/) as unknown },
    robot: { url },
  };
}

test.each(["SIGINT", "SIGTERM"] as const)("%s to npm ends what `npm start` started", async (signal) => {
  const folder = join(world.folder, `npm-${signal}`);
  const npm = spawn("npm", ["start", "--silent", "--", "--format", "json", "--no-container", "--port", "0", "--data-dir", folder], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, HOME: join(world.folder, "home") },
  });
  const ended = once(npm, "close");
  const lines: string[] = [];
  const output = createInterface(npm.stdout).on("line", (line) => lines.push(line));
  await Promise.race([once(output, "line"), ended]);
  npm.kill(signal);
  await ended;
  // One line for all of its life.
  expect(lines.map((line) => JSON.parse(line) as unknown)).toStrictEqual([ready([["sim_robot_http", "proxy"]])]);
  expect(await processesLeft(folder)).toEqual([]);
});

test("a second `up` on the same data folder is refused and says who has it", async () => {
  const second = await (await world.admin()).run(["up", "--data-dir", world.dataFolder, "--port", "0"]);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(String(world.up.pid));
});

describeWithContainers("with an instance in a container", () => {
  test("what `up` says when all is ready has the fields that programs rely on, and no others", () => {
    expect(world.ready).toStrictEqual(
      ready([
        ["sim_robot", "podman"],
        ["sim_robot_http", "proxy"],
      ]),
    );
  });

  test("SIGTERM ends everything, an instance too; a second start comes up with the same deployments and ports", async () => {
    const before = world.ready;
    const admin = await world.admin();
    const { id } = await admin.json<Launched>("launch", world.deployment("podman"), "--wait");
    expect(await world.up.stop("SIGTERM")).toBe(0);
    expect(await containersWith(`io.hardshare.instance=${id}`)).toEqual([]);
    expect(await processesLeft(world.folder)).toEqual([]);

    const after = await world.restart(["--port", new URL(before.url).port]);
    expect(after.deployments).toEqual(before.deployments);
    expect(after.hub).toEqual(before.hub);
    expect(after.robot).toEqual(before.robot);
    const view = await admin.json<Launched>("info", id);
    expect(view.status).toBe("TERMINATED");
  });

  test("`kill -9` of the supervisor leaves no process behind, and the next start has no trace of the instance", async () => {
    const admin = await world.admin();
    const { id } = await admin.json<Launched>("launch", world.deployment("podman"), "--wait");
    const port = new URL(world.ready.url).port;
    await world.up.stop("SIGKILL");
    await untilGone(world.folder); // fails by the test's time limit when one stays
    expect(await containersWith(`io.hardshare.instance=${id}`)).toEqual([]);
    await world.restart(["--port", port]);
    expect(await containersWith(`io.hardshare.instance=${id}`)).toEqual([]);
    const again = await admin.json<Launched>("launch", world.deployment("podman"), "--wait");
    expect(again.status).toBe("READY");
    await expectAnswer(admin.run(["terminate", again.id]));
  });

  test("a start right after `kill -9` of the supervisor, while its programs still end, offers the same deployments, and each can be launched", async () => {
    const admin = await world.admin();
    const before = world.ready;
    const { id } = await admin.json<Launched>("launch", world.deployment("podman"), "--wait");
    const { child } = world.up;
    const died = once(child, "exit"); // not "close", which comes when its children have ended too
    child.kill("SIGKILL");
    await died;
    const after = await world.restart(["--port", new URL(before.url).port]);
    expect(after).toStrictEqual(before);
    for (const deployment of after.deployments) {
      const launched = await admin.json<Launched>("launch", deployment.id, "--wait");
      expect(launched.status).toBe("READY");
      await expectAnswer(admin.run(["terminate", launched.id]));
    }
    expect(await admin.json<Launched>("info", id)).toMatchObject({ status: "TERMINATED" });
    expect(await containersWith(`io.hardshare.instance=${id}`)).toEqual([]);
  });
});
