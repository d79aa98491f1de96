import type { EndpointReport } from "@hardshare/protocol";
import { Deferred, silentLogger, systemClock, systemRandom } from "@hardshare/runtime";
import { expect, test } from "vitest";
import { Endpoint } from "./endpoint.ts";
import { bindPublicPort } from "./public-port.ts";
import type { InstanceSession } from "./sessions.ts";
import { findFreePort, HubWorld } from "./testing/hub-world.fixture.ts";

test("nothing is said of an endpoint while its port is being bound, also when its host leaves meanwhile", async () => {
  const desired = await new HubWorld().makeDesired();
  const reports: EndpointReport[] = [];
  let isOpen = new Deferred();
  const endpoint = new Endpoint({
    desired,
    bindHost: "127.0.0.1",
    bindPort: bindPublicPort,
    firstPort: 1024,
    lastPort: 65_535,
    onReport: (report) => {
      reports.push(report);
      isOpen.resolve();
    },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const session = {} as InstanceSession;
  endpoint.addLink(session);
  endpoint.removeLink(session);
  expect(reports).toEqual([]);
  await isOpen.promise;
  isOpen = new Deferred();
  const publicPort = await findFreePort();
  endpoint.update({ ...desired, publicPort });
  expect(endpoint.report).toBeUndefined();
  await isOpen.promise;
  expect(reports.map((report) => [report.status, report.publicPort])).toEqual([
    ["open", desired.publicPort],
    ["open", publicPort],
  ]);
  endpoint.close();
});
