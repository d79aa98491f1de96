import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { systemClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { killContainerProcesses } from "./labelled-processes.ts";

const instanceId = crypto.randomUUID();
/** Where no pid namespace can be made there are no containers either. */
const hasNamespaces = spawnSync("unshare", ["--pid", "--fork", "true"]).status === 0;

test.skipIf(!hasNamespaces)(
  "all processes of an instance's container are killed, also those that dropped its environment; those on the host stay",
  async () => {
    const env = { PATH: process.env["PATH"], HARDSHARE_INSTANCE: instanceId };
    // In the container's first process, and beside it one without its environment.
    const script = "env -i sleep 600 & echo up; exec sleep 600";
    const container = spawn("unshare", ["--pid", "--fork", "--kill-child", "sh", "-c", script], {
      env,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const beside = spawn("sleep", ["600"], { env });
    const stranger = spawn("unshare", ["--pid", "--fork", "--kill-child", "sleep", "600"], { env: { PATH: process.env["PATH"] } });
    await once(container.stdout, "data");
    const ended = once(container, "exit");
    await killContainerProcesses({ instanceId, containerId: undefined }, systemClock);
    await ended;
    expect([beside.exitCode, beside.signalCode, stranger.exitCode, stranger.signalCode]).toEqual([null, null, null, null]);
    for (const child of [beside, stranger]) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  },
);
