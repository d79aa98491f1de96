import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError, DeploymentId } from "@hardshare/protocol";
import { Deferred, ManualClock, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Engine } from "../engine/engine.ts";
import { makeHostTools } from "../testing/host-tools.fixture.ts";
import { FakeEngine } from "../engine/fake-engine.ts";
import { TEST_IMAGE } from "../testing/namespace-engine.fixture.ts";
import { Offer } from "./offer.ts";

const isRoot = process.geteuid?.() === 0;

describe.skipIf(!isRoot)(isRoot ? "an offer of containers" : "an offer of containers (left out: needs root)", () => {
  let folder: string;
  let clock: ManualClock;
  let engine: () => Promise<Engine>;
  let changed: Deferred;
  let offer: Offer;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hardshare-offer-"));
    await writeFile(join(folder, "robot.yaml"), "");
    clock = new ManualClock();
    changed = new Deferred();
    offer = new Offer(DeploymentId.parse(systemRandom.uuid()), makeHostTools(clock, { engine: () => engine() }), () => changed.resolve());
    offer.configure(join(folder, "robot.yaml"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const working = () => new FakeEngine({ clock, images: { [TEST_IMAGE]: { id: "1", labels: {}, command: [] } } });
  const failing = (code: "engine_failed" | "engine_missing") => () => Promise.reject(new AppError(code, "no"));

  test("is looked at again after a failure that may pass by itself, as while the computer starts", async () => {
    engine = failing("engine_failed");
    await offer.open();
    expect(offer.problem).toBe("no");
    engine = async () => working();
    changed = new Deferred();
    clock.advance(1000);
    await changed.promise;
    expect(offer.isOpen).toBe(true);
  });

  test("is not looked at again after any other failure, nor when it is offered no more", async () => {
    let asked = 0;
    engine = failing("engine_missing");
    await offer.open();
    engine = failing("engine_failed");
    await expect(offer.openOrThrow()).rejects.toMatchObject({ code: "engine_failed" });
    engine = async () => (asked++, working());
    clock.advance(3_600_000);
    await offer.reload();
    expect(asked).toBe(0);
  });

  test("is undecided until the first look is done", async () => {
    const answer = new Deferred<Engine>();
    engine = () => answer.promise;
    const opening = offer.open();
    expect([offer.isUndecided, offer.isOpen]).toEqual([true, false]);
    answer.resolve(working());
    await opening;
    expect([offer.isUndecided, offer.isOpen]).toEqual([false, true]);
  });

  test("is looked at once at a time: the last look is that of the newest contract", async () => {
    let looking = 0;
    let atOnce = 0;
    const gate = new Deferred();
    engine = async () => {
      looking += 1;
      atOnce = Math.max(atOnce, looking);
      await gate.promise;
      looking -= 1;
      return working();
    };
    const opening = offer.open();
    await writeFile(join(folder, "robot.yaml"), "image: localhost/none\n");
    const again = offer.reload();
    gate.resolve();
    await Promise.all([opening, again]);
    expect(atOnce).toBe(1);
    expect(offer.problem).toContain("localhost/none");
  });
});
