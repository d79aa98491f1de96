import { AppError, DeploymentId, InstanceId } from "@hardshare/protocol";
import { type Clock, systemRandom } from "@hardshare/runtime";
import { beforeEach, expect, test } from "vitest";
import { makeHostTools } from "../testing/host-tools.fixture.ts";
import { parseContract } from "../contract/load-contract.ts";
import { FakeEngine } from "../engine/fake-engine.ts";
import type { ContainerSpec } from "../engine/engine.ts";
import { TEST_IMAGE } from "../testing/namespace-engine.fixture.ts";
import { createContainer, removeContainers } from "./container-steps.ts";
import { InstanceParts } from "./instance-parts.ts";

/** Time that passes as soon as somebody waits. */
class HurriedClock implements Clock {
  nowMs = 0;
  onWait: () => void = () => {};
  now = () => this.nowMs;
  monotonicMs = () => this.nowMs;
  after(delayMs: number, run: () => void): Disposable {
    this.nowMs += delayMs;
    this.onWait();
    queueMicrotask(run);
    return { [Symbol.dispose]: () => {} };
  }
}

/** Does not answer for a creation, which it goes on with. */
class SlowEngine extends FakeEngine {
  wanted: ContainerSpec | undefined;
  override async createContainer(spec: ContainerSpec): Promise<string> {
    this.wanted = spec;
    throw new AppError("timed_out", "the container engine did not create the container within 30000 ms");
  }
  async goOn(): Promise<void> {
    if (this.wanted !== undefined) await super.createContainer(this.wanted);
    this.wanted = undefined;
  }
}

let clock: HurriedClock;
let engine: SlowEngine;
let parts: InstanceParts;

beforeEach(() => {
  clock = new HurriedClock();
  engine = new SlowEngine({ clock, images: { [TEST_IMAGE]: { id: "1", labels: {}, command: ["sleep", "1"] } } });
  const quiet = () => {};
  parts = new InstanceParts(
    {
      deploymentId: DeploymentId.parse(systemRandom.uuid()),
      instanceId: InstanceId.parse(systemRandom.uuid()),
      epoch: 1,
      user: "bob",
      publicKeys: [],
      loaded: parseContract("", "contract", "/"),
    },
    makeHostTools(clock, { engine: async () => engine }),
    {
      onServiceLost: quiet,
      onServiceRestored: quiet,
      onRelayLost: quiet,
      onRelayRestored: quiet,
      onLinkLost: quiet,
      onLinkRestored: quiet,
      onRulesRestored: quiet,
      onTunnelBroken: quiet,
      onServiceOutput: quiet,
      onServiceReport: quiet,
      onServiceTapped: quiet,
      onServiceClosed: quiet,
      onDeviceFileLost: quiet,
      warn: quiet,
    },
  );
});

const create = () => createContainer(parts, new AbortController().signal);

test("a container that appears after its creation was given up is removed", async () => {
  await expect(create()).rejects.toMatchObject({ code: "timed_out" });
  let waited = 0;
  clock.onWait = () => {
    waited += 1;
    if (waited === 3) void engine.goOn();
  };
  await removeContainers(parts);
  expect(engine.wanted).toBeUndefined();
  expect(await engine.listContainers({})).toEqual([]);
});

test("a container of which it stays unknown whether it will appear is left over", async () => {
  await expect(create()).rejects.toMatchObject({ code: "timed_out" });
  await expect(removeContainers(parts)).rejects.toMatchObject({ message: expect.stringContaining("may still appear") });
});

test("a creation that the engine refused leaves nothing to wait for", async () => {
  engine.createContainer = () => Promise.reject(new AppError("engine_failed", "no room", { details: { status: 500 } }));
  await expect(create()).rejects.toMatchObject({ code: "engine_failed" });
  await removeContainers(parts);
  expect(clock.nowMs).toBe(0);
});
