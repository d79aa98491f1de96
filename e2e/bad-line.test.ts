/** A host and a hub on a bad line: nobody is taken for gone, an instance stays, and a cable that is pulled shows all the same. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { BadLine } from "./harness/bad-line.ts";
import { RunningCommand } from "./harness/commands.ts";
import { IS_LONG_RUN } from "./harness/failure.ts";
import { FarWorld, loggedAtMs } from "./harness/far-world.ts";
import { expectAnswer } from "./harness/world.ts";

const HOLD_MS = IS_LONG_RUN ? 300_000 : 15_000;
/** Of the far network namespace, where nothing else listens. */
const ROBOT_PORT = 8000;

let line: BadLine;
let world: FarWorld;

beforeAll(async () => {
  line = await BadLine.lay({ loss: 0.02, jitterMs: 300 });
  world = await FarWorld.create(line.here, ROBOT_PORT);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await line[Symbol.asyncDispose]();
});

test(
  "2 % loss and 300 ms of jitter take no host and no hub off line, and an instance stays; a pulled cable does within 5 s (P15)",
  { timeout: HOLD_MS + 300_000 },
  async () => {
    const { server, owner, deployment } = world;
    const far = { address: line.there, within: line.far };
    await using robot = new RunningCommand(["sim", "--port", String(ROBOT_PORT)], owner.env, { within: line.far });
    await robot.ready;
    // The instance's hub is here, so that its tunnel takes the bad line; the second one is there, as far from the server as the host.
    await using nearHub = world.startHub("near", { address: line.here });
    await nearHub.ready;
    await using daemon = world.startHost(far);
    await daemon.ready;
    const { id, status } = await owner.json<{ id: string; status: string }>("launch", deployment, "--wait");
    expect(status).toBe("READY");
    await using farHub = world.startHub("far", far);
    await farHub.ready;
    await using forward = owner.start<{ port: number }>("forward", id);
    const { port } = await forward.ready;

    const alarms: string[] = [];
    const isLost = [server.untilLog(/(host|hub) disconnected/), daemon.untilLog(/channel lost/), farHub.untilLog(/channel lost/)];
    for (const alarm of isLost)
      alarm.then(
        (said) => alarms.push(said),
        () => {},
      );
    let answers = 0;
    for (const startedAtMs = performance.now(); performance.now() - startedAtMs < HOLD_MS; answers += 1) {
      const answer = await fetch(`http://127.0.0.1:${port}/ledger`);
      expect(answer.status).toBe(200);
      await answer.arrayBuffer();
    }
    process.stdout.write(`bad-line: ${HOLD_MS / 1000} s, ${answers} answers of the robot; ${line.report}; alarms: ${alarms.length}\n`);
    expect(alarms).toEqual([]);
    expect((await owner.json<{ status: string }>("info", id)).status).toBe("READY");
    expect(await world.isOnline()).toBe(true);

    const lost = ["host", "hub"].map((role) => server.untilLog(new RegExp(`"channel":"${role}".*heard nothing.*${role} disconnected`)));
    const back = ["host", "hub"].map((role) => server.untilLog(new RegExp(`"channel":"${role}".*${role} connected`)));
    const pulledAtMs = Date.now();
    line.pull();
    for (const said of await Promise.all(lost)) expect(loggedAtMs(said) - pulledAtMs).toBeLessThan(5000);
    expect(await world.isOnline()).toBe(false);
    line.plugIn();
    await Promise.all(back);
    expect(await world.isOnline()).toBe(true);
    await expectAnswer(owner.run(["terminate", id]));
  },
);
