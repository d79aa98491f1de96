/** P15: the cable of a host and a hub is pulled, without a FIN, until the server shows them as offline. */
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { HardshareClient } from "@hardshare/client";
import { Cable } from "../e2e/harness/cable.ts";
import { FarWorld } from "../e2e/harness/far-world.ts";
import { figuresOf, type Race, type RaceContext, type Row } from "./race.ts";

/** Cables are not pulled in step with pings, which come each 1.5 s: each pull is somewhere in the time from 2 to 5 s after the connection. */
const SETTLE_MS = 2000;
const SPREAD_MS = 3000;
export const cablePulled: Race = {
  ids: ["P15"],
  async run({ isShort, tell }: RaceContext): Promise<Row[]> {
    await using cable = await Cable.lay();
    await using far = await FarWorld.create(cable.here);
    await using hub = far.startHub("hub", { address: cable.there, within: cable.far });
    await hub.ready;
    await using daemon = far.startHost({ within: cable.far });
    await daemon.ready;
    const client = new HardshareClient({ url: far.url, token: (await readFile(far.tokenFile, "utf8")).trim() });
    const roles = ["host", "hub"] as const;
    const times = { host: [] as number[], hub: [] as number[] };
    const rounds = isShort ? 3 : 30;
    for (let round = 0; round < rounds; round += 1) {
      await pause(SETTLE_MS + (SPREAD_MS * (round + Math.random())) / rounds);
      const pulledAt = performance.now();
      const lost = roles.map(async (role) => {
        await far.server.untilLog(new RegExp(`"channel":"${role}".*${role} disconnected`));
        // Looked at as users do, once the server says so.
        if (role === "host" && (await client.deployment(far.deployment)).online) throw new Error("the host is still shown as online");
        times[role].push(performance.now() - pulledAt);
      });
      await cable.pull();
      await Promise.all(lost);
      const back = roles.map((role) => far.server.untilLog(new RegExp(`"channel":"${role}".*${role} connected`)));
      await cable.plugIn();
      await Promise.all(back);
      if (round % 10 === 9) tell(`P15: ${round + 1} of ${rounds} pulls`);
    }
    return roles.map((role) => {
      const ours = figuresOf(times[role]);
      return {
        race: "P15",
        what: `cable of a ${role} pulled -> offline`,
        unit: "ms",
        ours,
        peer: { name: "17–90 s (promises.md)", figures: null },
        target: "p50 <= 3000 ms, p99 <= 5000 ms",
        isReached: ours.p50 <= 3000 && ours.p99 <= 5000,
      };
    });
  },
};
