import { Deferred, systemClock } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { ANSWER_WAIT_MS } from "./host-links.ts";
import { echo, exchange, HubWorld } from "./testing/hub-world.fixture.ts";

test("a stream does not wait for a connection of the host that has died without a word, nor do those after it", async () => {
  let nowMs = 0;
  let fire = () => {};
  const isAsked = new Deferred();
  await using world = await HubWorld.start({
    ...systemClock,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      if (delayMs !== ANSWER_WAIT_MS) return systemClock.after(delayMs, run);
      fire = run;
      isAsked.resolve();
      return { [Symbol.dispose]() {} };
    },
  });
  const desired = await world.makeDesired({ probe: "none", publicPort: null });
  world.apply(desired);
  const port = await world.listen(echo);
  const way = await world.makeWay();
  world.startHost(desired, port, { connections: 1, port: way.port });
  await world.reported("probed", desired);
  const alive = world.startHost(desired, port, { connections: 1 });
  await expect.poll(() => alive.boundConnections).toBe(1);
  way.freeze();
  const opening = world.openAsServer(desired);
  await isAsked.promise;
  fire();
  const first = await opening;
  nowMs += ANSWER_WAIT_MS;
  expect(await exchange(await world.openAsServer(desired), "flows")).toBe("flows");
  expect(await exchange(first, "flows too")).toBe("flows too");
});
