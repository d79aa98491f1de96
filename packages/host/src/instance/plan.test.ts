import { Contract } from "@hardshare/protocol";
import { expect, test } from "vitest";
import { adoptionPlan, endPlan, failpointsOf, launchPlan, type Plan } from "./plan.ts";

const services = [{ name: "ROBOT", command: "./filter" }];
const container = (more: object = {}) =>
  Contract.parse({ services, init: ["a"], init_inside: ["b"], terminate: ["c"], baseline: ["e"], safe_state: ["d"], ...more });
const proxy = (more: object = {}) =>
  Contract.parse({ provider: "proxy", services, init: ["a"], terminate: ["c"], baseline: ["e"], safe_state: ["d"], ...more });
const show = (plan: Plan<string>) => plan.map(({ name, after }) => (after.length === 0 ? name : `${name} after ${after.join(", ")}`));

/** Steps that are done before a step begins. */
function before(plan: Plan<string>, name: string): Set<string> {
  const found = new Set<string>();
  for (const each of plan.find((step) => step.name === name)?.after ?? []) {
    found.add(each);
    for (const earlier of before(plan, each)) found.add(earlier);
  }
  return found;
}

test("a container is launched beside its filters, and reached only when all is done", () => {
  expect(show(launchPlan(container()))).toMatchInlineSnapshot(`
    [
      "network",
      "filters after network",
      "container",
      "authorized_keys after container",
      "start after authorized_keys, network",
      "relay after start",
      "banner after relay",
      "init after filters, banner, start",
      "init_inside after init",
      "tunnel after filters, banner, start, init_inside",
    ]
  `);
});

test("device files of services are kept before the container, which mounts them, and before the filters", () => {
  const services = [{ name: "ARM", filter: "serial", target: "/dev/ttyUSB0", rules: "r", device: "/dev/ttyUSB0" }];
  const plan = launchPlan(container({ services }));
  expect(before(plan, "container")).toEqual(new Set(["device_files"]));
  expect(before(plan, "filters")).toContain("device_files");
});

test("with a way to the internet, what keeps it in bounds is there before anything runs, and it before the owner's programs", () => {
  for (const network of ["internet", "open"]) {
    const plan = launchPlan(container({ network }));
    expect(before(plan, "start")).toContain("network");
    expect(before(plan, "link")).toContain("start");
    expect(before(plan, "init")).toContain("link");
    expect(before(plan, "tunnel")).toContain("link");
    expect(before(adoptionPlan(container({ network })), "link")).toContain("network");
    expect(before(endPlan(container({ network }), false), "network")).toContain("link");
  }
});

test("steps with nothing to do are left out, and those behind them wait for what is before them", () => {
  const plan = launchPlan(Contract.parse({}));
  expect(plan.map((step) => step.name)).toEqual(["network", "container", "authorized_keys", "start", "relay", "banner", "tunnel"]);
  expect(before(plan, "tunnel")).toEqual(new Set(["banner", "relay", "network", "start", "authorized_keys", "container"]));
  expect(show(launchPlan(proxy({ init: [] })))).toEqual(["filters", "tunnel after filters"]);
});

test("at the end filters and the tunnel are closed before the programs for the end run", () => {
  const plan = endPlan(container(), false);
  expect(before(plan, "terminate")).toEqual(new Set(["filters", "tunnel"]));
  expect(before(plan, "container")).toContain("terminate");
  expect(before(plan, "baseline")).toEqual(new Set(["filters", "tunnel", "terminate", "container", "relay", "network"]));
  expect(before(plan, "verify")).toEqual(new Set([...before(plan, "baseline"), "baseline"]));
});

test("a container that was given devices is removed before the programs for the end run", () => {
  const plan = endPlan(container({ devices: ["/dev/ttyACM0"] }), false);
  expect(before(plan, "terminate")).toContain("container");
});

test("after a crash the hardware is made safe, by the end plan or by the adoption", () => {
  const plan = endPlan(proxy(), true);
  expect(before(plan, "safe_state")).toEqual(new Set(["filters"]));
  expect(before(plan, "terminate")).toContain("safe_state");
  expect(before(adoptionPlan(container()), "filters")).toContain("safe_state");
});

test("every step waits only for steps of its plan, and each has its failpoints", () => {
  const contracts = [
    container(),
    container({ devices: ["/dev/x"] }),
    container({ network: "internet" }),
    Contract.parse({}),
    proxy(),
    proxy({ init: [], terminate: [], baseline: [] }),
  ];
  for (const contract of contracts) {
    for (const plan of [launchPlan(contract), endPlan(contract, true), endPlan(contract, false)] as Plan<string>[]) {
      const names = plan.map((step) => step.name);
      for (const { name, after } of plan) {
        expect(names).toEqual(expect.arrayContaining([...after]));
        expect(before(plan, name)).not.toContain(name);
      }
      expect(failpointsOf("end", plan)).toHaveLength(2 * names.length);
    }
  }
  expect(failpointsOf("launch", launchPlan(proxy()))).toContain("host.launch.filters.before");
});
