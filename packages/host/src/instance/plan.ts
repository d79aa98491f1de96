import type { Contract } from "@hardshare/protocol";

/**
 * What is done with an instance, as data: steps, and for each the steps that must be done before. Steps that don't
 * depend on each other run at the same time. Pure: made from the contract alone.
 */
interface PlanStep<Name extends string> {
  name: Name;
  after: readonly Name[];
}
export type Plan<Name extends string> = readonly PlanStep<Name>[];

export type LaunchStep =
  /** After a crash: the filters of the last daemon are gone, so the hardware is made safe. */
  | "safe_state"
  /** After a crash: its container is found, and still runs. */
  | "adopt"
  /** The private folder of sockets, the only way in and out of an isolated container; for others also names and packet rules. */
  | "network"
  /** Services, filters first of all, listen. */
  | "filters"
  /** The terminals that the container shows as device files of services. */
  | "device_files"
  /** The container is created; nothing runs in it. */
  | "container"
  /** The user's keys and the environment are in it. */
  | "authorized_keys"
  | "start"
  /** The relay has entered its network. */
  | "relay"
  /** It has a way to the internet, behind packet rules unless the contract says `open`. */
  | "link"
  /** Its SSH server answers, and its host key is known. */
  | "banner"
  | "init"
  | "init_inside"
  /** The hub forwards to it. */
  | "tunnel";

export type EndStep =
  | "filters"
  | "safe_state"
  | "tunnel"
  | "terminate"
  | "container"
  | "relay"
  | "link"
  | "network"
  /** The owner's programs look whether the workspace is as it has to be. */
  | "baseline"
  /** Nothing of the instance is left. */
  | "verify";

/** From nothing to an instance that can be reached. */
export function launchPlan(contract: Contract): Plan<LaunchStep> {
  const plan = contract.provider === "proxy" ? PROXY_LAUNCH : CONTAINER_LAUNCH;
  const idle: LaunchStep[] = [];
  if (contract.services.length === 0) idle.push("filters");
  if (!contract.services.some((service) => "device" in service && service.device !== undefined)) idle.push("device_files");
  if (contract.network === "isolated") idle.push("link");
  if (contract.init.length === 0) idle.push("init");
  if (contract.init_inside.length === 0) idle.push("init_inside");
  return dropSteps(plan, idle);
}

const PROXY_LAUNCH: Plan<LaunchStep> = [
  { name: "filters", after: [] },
  { name: "init", after: ["filters"] },
  { name: "tunnel", after: ["filters", "init"] },
];

const CONTAINER_LAUNCH: Plan<LaunchStep> = [
  { name: "network", after: [] },
  { name: "device_files", after: [] },
  { name: "filters", after: ["network", "device_files"] },
  { name: "container", after: ["device_files"] },
  { name: "authorized_keys", after: ["container"] },
  { name: "start", after: ["authorized_keys", "network"] },
  { name: "relay", after: ["start"] },
  { name: "link", after: ["start"] },
  { name: "banner", after: ["relay"] },
  // Hardware is moved only when the container is known to work.
  { name: "init", after: ["filters", "banner", "link"] },
  { name: "init_inside", after: ["init"] },
  { name: "tunnel", after: ["filters", "banner", "link", "init_inside"] },
];

/** From a container that outlived its daemon to an instance that is whole again; the tunnel follows by itself. */
export function adoptionPlan(contract: Contract): Plan<LaunchStep> {
  const plan: Plan<LaunchStep> = [
    { name: "safe_state", after: [] },
    { name: "adopt", after: ["safe_state"] },
    { name: "network", after: ["adopt"] },
    { name: "filters", after: ["network"] },
    { name: "relay", after: ["network"] },
    { name: "link", after: ["network"] },
    { name: "banner", after: ["relay"] },
  ];
  const idle: LaunchStep[] = contract.network === "isolated" ? ["link"] : [];
  if (contract.services.length === 0) idle.push("filters", "safe_state"); // no filter was lost
  if (contract.safe_state.length === 0) idle.push("safe_state");
  return dropSteps(plan, idle);
}

/**
 * From whatever was done to nothing: every step may run whether or not the one that it undoes happened. First nothing
 * more reaches the hardware: filters are closed, and a container that was given devices is removed before, else after,
 * the programs for the end have run.
 * @param mustMakeSafe filters ended without anybody's doing: the hardware is made safe first
 */
export function endPlan(contract: Contract, mustMakeSafe: boolean): Plan<EndStep> {
  const hasDevices = contract.devices.length > 0;
  const plan: Plan<EndStep> = [
    { name: "filters", after: [] },
    { name: "safe_state", after: ["filters"] },
    { name: "tunnel", after: ["filters"] },
    { name: "container", after: hasDevices ? ["filters", "tunnel"] : ["terminate"] },
    { name: "terminate", after: ["filters", "safe_state", "tunnel", ...(hasDevices ? (["container"] as const) : [])] },
    { name: "relay", after: ["tunnel"] },
    { name: "link", after: ["tunnel"] },
    { name: "network", after: ["container", "relay", "link"] },
    // When nothing of the instance can change any more what it looks at.
    { name: "baseline", after: ["terminate", "container", "relay", "link", "network"] },
    { name: "verify", after: ["baseline"] },
  ];
  const idle: EndStep[] = contract.provider === "proxy" ? ["container", "relay", "network"] : [];
  if (contract.network === "isolated") idle.push("link");
  if (!mustMakeSafe || contract.safe_state.length === 0) idle.push("safe_state");
  if (contract.terminate.length === 0) idle.push("terminate");
  if (contract.baseline.length === 0) idle.push("baseline");
  return dropSteps(plan, idle);
}

/** The plan without steps that have nothing to do; what waited for one of them waits for what that waited for. */
function dropSteps<Name extends string>(plan: Plan<Name>, dropped: readonly Name[]): Plan<Name> {
  const afterOf = (name: Name): readonly Name[] => plan.find((step) => step.name === name)?.after ?? [];
  const resolve = (names: readonly Name[]): Name[] => names.flatMap((name) => (dropped.includes(name) ? resolve(afterOf(name)) : [name]));
  return plan.filter((step) => !dropped.includes(step.name)).map(({ name, after }) => ({ name, after: [...new Set(resolve(after))] }));
}

/** Names of the failpoints that the executor passes: one before and one after each step. */
export function failpointsOf(kind: "launch" | "end", plan: Plan<string>): string[] {
  return plan.flatMap(({ name }) => [failpointOf(kind, name, "before"), failpointOf(kind, name, "after")]);
}

export function failpointOf(kind: "launch" | "end", step: string, side: "before" | "after"): string {
  return `host.${kind}.${step}.${side}`;
}
