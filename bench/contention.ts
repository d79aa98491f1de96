/** P5: many ask for one deployment at the same moment; exactly one may get it. */
import { HardshareClient } from "@hardshare/client";
import { makeKeyPair } from "@hardshare/client/node";
import { AppError } from "@hardshare/protocol";
import type { Race, RaceContext, Row } from "./race.ts";

/** Requests at the same moment. */
const RIVALS = 50;

export const contention: Race = {
  ids: ["P5"],
  async run({ world, isShort, tell }: RaceContext): Promise<Row[]> {
    const client = new HardshareClient({ url: world.ready.url, token: world.ready.token });
    const deployment = world.deployment("proxy");
    const { publicKey: sshkey } = await makeKeyPair("bench");
    const rounds = isShort ? 4 : 2000;
    let doubleGrants = 0;
    for (let round = 0; round < rounds; round += 1) {
      const outcomes = await Promise.allSettled(Array.from({ length: RIVALS }, () => client.launch(deployment, { sshkey })));
      const winners = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value.id] : []));
      for (const outcome of outcomes) {
        if (outcome.status === "rejected" && !(outcome.reason instanceof AppError && outcome.reason.code === "busy"))
          throw outcome.reason as Error;
      }
      if (winners.length !== 1) doubleGrants += winners.length - 1;
      for (const id of winners) {
        await client.terminate(id);
        for await (const _event of client.instanceEvents(id)); // until its last one
      }
      if (round % 100 === 99) tell(`P5: ${(round + 1) * RIVALS} requests, ${doubleGrants} double grants`);
    }
    const count = rounds * RIVALS;
    return [
      {
        race: "P5",
        what: `double grants in ${count} contended launches`,
        unit: "",
        ours: { p50: doubleGrants, p99: doubleGrants, count },
        peer: null,
        target: "0 in 100,000",
        isReached: doubleGrants === 0,
      },
    ];
  },
};
