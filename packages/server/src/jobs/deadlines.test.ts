import { Deferred, ManualClock, silentLogger, systemRandom } from "@hardshare/runtime";
import { beforeAll, test } from "vitest";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../testing/test-world.fixture.ts";
import { WakeUpRouter } from "../wake-ups/wake-up-router.ts";
import { DeadlinesJob } from "./deadlines.ts";

let ground: TestGround;
beforeAll(async () => (ground = await startTestGround()));

async function launch(world: TestWorld, user: TestUser): Promise<string> {
  const { deploymentId } = await world.addHost(user);
  const { body } = await user.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY, expire_d: 3600 });
  return body.id;
}

test("when the wall clock jumps past a deadline, that is seen half a minute later at most", async () => {
  let jumpedMs = 0;
  const clock = new (class extends ManualClock {
    override now() {
      return super.now() + jumpedMs;
    }
  })(Date.now());
  await using world = await TestWorld.start(ground, { clock });
  await world.addHub();
  const admin = await world.admin();
  const id = await launch(world, admin);
  jumpedMs = 3_600_000;
  clock.advance(30_000);
  await world.untilState(admin, id, "TERMINATING");
});

test("an instance that cannot be ended does not keep others from their end, and is tried again", async () => {
  await using world = await TestWorld.start(ground);
  await world.addHub();
  const admin = await world.admin();
  const [stuck, other] = [await launch(world, admin), await launch(world, admin)];
  let isStuck = true;
  const { database } = world.store;
  const failing: typeof database = {
    ...database,
    transaction: (work) => database.transaction(work),
    [Symbol.asyncDispose]: async () => {},
    instances: {
      ...database.instances,
      getForUpdate(tx, id) {
        if (id === stuck && isStuck) throw new Error("this row can't be read");
        return database.instances.getForUpdate(tx, id);
      },
    },
  };
  using wakeUps = new WakeUpRouter(database.wakeUps);
  const armed = new Deferred();
  const clock = new (class extends ManualClock {
    override after(delayMs: number, run: () => void) {
      if (delayMs === 1000) armed.resolve();
      return super.after(delayMs, run);
    }
  })(Date.now() + 3_600_000);
  await using _job = new DeadlinesJob({ database: failing, wakeUps, clock, random: systemRandom, logger: silentLogger });
  await world.untilState(admin, other, "TERMINATING");
  await armed.promise;
  isStuck = false;
  clock.advance(1000);
  await world.untilState(admin, stuck, "TERMINATING");
});
