import { spawn } from "node:child_process";
import { once } from "node:events";
import { DeploymentId, InstanceId } from "@hardshare/protocol";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { parseContract } from "../contract/load-contract.ts";
import { makeHostTools } from "../testing/host-tools.fixture.ts";
import { InstanceParts } from "./instance-parts.ts";
import { instanceWorks } from "./instance-works.ts";

function makeParts(): InstanceParts {
  const quiet = () => {};
  return new InstanceParts(
    {
      deploymentId: DeploymentId.parse(systemRandom.uuid()),
      instanceId: InstanceId.parse(systemRandom.uuid()),
      epoch: 1,
      user: "bob",
      publicKeys: [],
      loaded: parseContract("provider: proxy\nservices: [{ name: ROBOT, command: serve }]\n", "contract", "/"),
    },
    makeHostTools(systemClock, { environment: { PATH: process.env["PATH"] } }),
    {
      onServiceLost: quiet,
      onServiceRestored: quiet,
      onRelayLost: quiet,
      onRelayRestored: quiet,
      onLinkLost: quiet,
      onLinkRestored: quiet,
      onRulesRestored: quiet,
      onDeviceFileLost: quiet,
      onTunnelBroken: quiet,
      onServiceOutput: quiet,
      onServiceReport: quiet,
      onServiceTapped: quiet,
      onServiceClosed: quiet,
      warn: quiet,
    },
  );
}

test.each([
  ["the programs of a killed daemon are ended", (parts: InstanceParts) => instanceWorks(parts).endFormer()],
  [
    "what programs left behind is ended",
    (parts: InstanceParts) => instanceWorks(parts).end.verify({ signal: new AbortController().signal, log: () => {} }),
  ],
])("an E-stop while %s makes the hardware safe after that, and its own programs live", async (_when, end) => {
  const parts = makeParts();
  const start = (event: string) => spawn("sleep", ["600"], { env: parts.placeFor(event).env, stdio: "ignore" });
  const left = start("init"); // so that it is looked at least twice
  const ended = end(parts);
  const safe = await parts.inTurn(async () => start("safe_state"));
  await ended;
  expect(left.signalCode ?? (await once(left, "exit"))[1]).toBe("SIGKILL");
  safe.kill("SIGTERM");
  expect(safe.signalCode ?? (await once(safe, "exit"))[1]).toBe("SIGTERM");
  await parts.tunnel[Symbol.asyncDispose]();
});
