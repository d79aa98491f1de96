/** P1 and P3: an instance in a container beside a bare `podman run`; P2: one without a container. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { HardshareClient } from "@hardshare/client";
import { makeKeyPair } from "@hardshare/client/node";
import { expectSuccess } from "../e2e/harness/commands.ts";
import { figuresOf, type Race, type RaceContext, type Row, timed } from "./race.ts";

/** Between two launches without a container: without a break, none would find the filter process that the last one took replaced. */
const ARRIVAL_MS = 1000;
const IMAGE = "localhost/hardshare/generic";

export const launches: Race = {
  ids: ["P1", "P2", "P3"],
  async run({ world, isShort, tell }: RaceContext): Promise<Row[]> {
    const client = new HardshareClient({ url: world.ready.url, token: world.ready.token });
    // The same settings as our own engine service has, where this machine needs any.
    const env = { CONTAINERS_CONF: join(world.dataFolder, "host-state", "containers.conf") };
    const podman = (...args: string[]) => expectSuccess("podman", args, { env });
    const ours: LifeTimes = { launch: [], terminate: [] };
    const bare: LifeTimes = { launch: [], terminate: [] };
    for (let round = 0; round < (isShort ? 3 : 30); round += 1) {
      await liveOnce(client, world.deployment("podman"), ours);
      const name = `hs-bench-${process.pid}-${round}`;
      bare.launch.push(await timed(() => podman("run", "--detach", "--quiet", "--network", "none", "--name", name, IMAGE)));
      bare.terminate.push(await timed(() => podman("rm", "--force", "--time", "0", name)));
    }
    const proxy: LifeTimes = { launch: [], terminate: [] };
    tell("P2 …");
    for (let round = 0; round < (isShort ? 5 : 60); round += 1) {
      await pause(ARRIVAL_MS);
      await liveOnce(client, world.deployment("proxy"), proxy);
    }

    const launched = figuresOf(ours.launch);
    const ran = figuresOf(bare.launch);
    const ended = figuresOf(ours.terminate);
    const proxyLaunched = figuresOf(proxy.launch);
    return [
      {
        race: "P1",
        what: "launch -> READY, container",
        unit: "ms",
        ours: launched,
        peer: { name: "podman run", figures: ran },
        target: "p50 <= 900 ms, p99 <= 2000 ms, <= 3 x podman run",
        isReached: launched.p50 <= 900 && launched.p99 <= 2000 && launched.p50 <= 3 * ran.p50,
      },
      {
        race: "P2",
        what: "launch -> READY, proxy",
        unit: "ms",
        ours: proxyLaunched,
        peer: null,
        target: "p50 <= 100 ms",
        isReached: proxyLaunched.p50 <= 100,
        note: `one launch every ${ARRIVAL_MS / 1000} s`,
      },
      {
        race: "P3",
        what: "terminate -> free, container",
        unit: "ms",
        ours: ended,
        peer: { name: "podman rm -f", figures: figuresOf(bare.terminate) },
        target: "p50 <= 500 ms",
        isReached: ended.p50 <= 500,
      },
      {
        race: "P3",
        what: "terminate -> free, proxy",
        unit: "ms",
        ours: figuresOf(proxy.terminate),
        peer: null,
        target: "p50 <= 500 ms",
        isReached: figuresOf(proxy.terminate).p50 <= 500,
      },
    ];
  },
};

interface LifeTimes {
  launch: number[];
  terminate: number[];
}

/** One whole life, as a user with a library sees it: until the event of READY came, and until that of TERMINATED did. */
async function liveOnce(client: HardshareClient, deployment: string, times: LifeTimes): Promise<void> {
  const { publicKey: sshkey } = await makeKeyPair("bench"); // as `hardshare launch` does
  let startedAt = performance.now();
  const { id } = await client.launch(deployment, { sshkey });
  let terminated: Promise<unknown> = Promise.resolve();
  for await (const event of client.instanceEvents(id)) {
    if (event.kind !== "state") continue;
    const now = performance.now();
    switch (event.data["state"]) {
      case "READY":
        times.launch.push(now - startedAt);
        startedAt = performance.now();
        terminated = client.terminate(id);
        break;
      case "TERMINATED":
        times.terminate.push(now - startedAt);
        break;
      case "INIT_FAIL":
        throw new Error(`the launch failed: ${JSON.stringify(await client.instance(id))}`);
    }
  }
  await terminated;
}
