import * as z from "zod";
import { DurationSeconds, MAX_DEAD_MAN_S } from "../durations.ts";
import { Network, Probe, Provider } from "../instances.ts";
import { Hours } from "./hours.ts";
import { Cooldown, Monitor } from "./monitors.ts";
import { DEFAULT_PROGRAM_TIMEOUT_S, LifecycleProgram } from "./programs.ts";
import { DevicePath, IS_RESERVED, RESERVED_VARIABLE, Service } from "./services.ts";

/** Seconds of an instance that asked for no time, unless the contract says otherwise. */
export const DEFAULT_MAX_DURATION_S = 8 * 3600;

/** Seconds that an act in the page counts as present, unless the contract says otherwise. */
const DEFAULT_PRESENCE_S = 60;
/** Shortest silence that tells something: signs of life come each quarter of it, over lines that may take 100 ms. */
const MIN_DEAD_MAN_S = 0.5;

/** Least memory of a container: with less its SSH server does not start. */
const MIN_MEMORY_BYTES = 16 * 1024 ** 2;
/** Fewest processors: a hundredth of one; engines take 0 for no limit. */
const MIN_CPUS = 0.01;

/** Each is a process of its own that may run beside the others. */
const MAX_MONITORS = 32;

/** A memory size such as `512m` or `1g`; becomes bytes. */
const MemorySize = z
  .string()
  .regex(/^\d+(?:\.\d+)?[kmg]$/i, "expected a size such as 512m or 1g")
  .transform((text) =>
    Math.round(Number(text.slice(0, -1)) * { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[text.slice(-1).toLowerCase() as "k" | "m" | "g"]),
  )
  .refine((bytes) => bytes >= MIN_MEMORY_BYTES && bytes <= Number.MAX_SAFE_INTEGER, "expected at least 16m, and no more than there can be");

const EnvironmentName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable");

/** Each device file inside stands for one thing. */
function checkDevicePaths(contract: { devices: string[]; services: Service[] }, context: z.core.$RefinementCtx): void {
  const taken = new Set(contract.devices);
  for (const [index, service] of contract.services.entries()) {
    if (!("device" in service) || service.device === undefined) continue;
    if (taken.has(service.device)) {
      context.addIssue({ code: "custom", path: ["services", index, "device"], message: "expected a path that no other device has" });
    }
    taken.add(service.device);
  }
}

/**
 * The contract of a deployment: all that its owner enforces around an instance.
 * An empty contract enforces nothing.
 */
export const Contract = z
  .strictObject({
    provider: z
      .enum([...Provider.options, "docker-rootless"])
      .default("podman")
      .describe(
        "What runs the container: podman, the Docker of this computer, or one that a user runs without being root; " +
          "`proxy`: none, the tunnel ends at the one service.",
      ),
    image: z
      .string()
      .min(1)
      .default("localhost/hardshare/generic")
      .describe("Any image with an SSH server, which is run by the image's own command, else as `sshd -D -e`."),
    env: z
      .record(
        EnvironmentName,
        z.string().refine((text) => !/[\r\n\0]/.test(text), "expected one line of text"),
      )
      .default({})
      .describe("Environment variables of the instance."),
    limits: z
      .strictObject({
        memory: MemorySize.default(1024 ** 3).describe("A size such as 512m or 1g (the default)."),
        cpus: z.number().min(MIN_CPUS).max(1024).default(2).describe("Processors, as a number that may have a fraction."),
        pids: z.int().min(16).max(4_194_304).default(512).describe("Processes and threads."),
      })
      .prefault({})
      .describe("The most that the container may use."),
    network: Network.default("isolated").describe(
      "What the instance reaches beside the services below: nothing; the internet, but no private address, no network to which " +
        "this computer is connected, and none of its own addresses; or all that this computer reaches.",
    ),
    devices: z.array(DevicePath).default([]).describe("Device files given as they are: unfiltered."),
    services: z.array(Service).default([]).describe("Programs on the host that the instance may talk to."),
    probe: Probe.optional().describe("How READY is proved; default `banner` (of SSH), for `proxy` `connect`."),
    init: z.array(LifecycleProgram).default([]).describe("Run on the host, before READY."),
    init_inside: z.array(LifecycleProgram).default([]).describe("Run in the container, before READY."),
    terminate: z.array(LifecycleProgram).default([]).describe("Run on the host, at the end of every instance."),
    safe_state: z
      .array(LifecycleProgram)
      .default([])
      .describe(
        "Run on the host when a service is lost, at an E-stop, when the dead-man's switch fires, and after a restart of the host daemon.",
      ),
    baseline: z
      .array(LifecycleProgram)
      .default([])
      .describe("Run on the host after `terminate`: each must exit 0 before the deployment is offered again."),
    dead_man: DurationSeconds.refine((seconds) => seconds >= MIN_DEAD_MAN_S && seconds <= MAX_DEAD_MAN_S, "expected 0.5s to 1h")
      .optional()
      .describe("The dead-man's switch: longest silence of the user after the first message before `safe_state` runs."),
    presence: DurationSeconds.default(DEFAULT_PRESENCE_S).describe(
      "Not used yet: how long an act in a page, which there is not, counts as present.",
    ),
    estop_by_user: z
      .enum(["lock", "end"])
      .default("lock")
      .describe("What an E-stop by the user means: the deployment is locked until its owner unlocks it, or only the instance ends."),
    monitors: z
      .array(Monitor)
      .max(MAX_MONITORS)
      .default([])
      .describe("Run on the host from time to time as long as the deployment is offered, also between instances."),
    cooldown: Cooldown.optional(),
    hours: Hours.optional(),
    public_port: z.boolean().default(false).describe("`proxy` only: open a port of the hub that authenticates nobody."),
    max_duration: DurationSeconds.refine((seconds) => seconds >= 1, "expected 1s to 3650d")
      .default(DEFAULT_MAX_DURATION_S)
      .describe("How long an instance lasts that asks for no time (default 8h)."),
  })
  .superRefine((contract, context) => {
    checkDevicePaths(contract, context);
    if (contract.network !== "isolated" && (contract.provider === "proxy" || contract.provider === "docker-rootless")) {
      const why =
        contract.provider === "proxy"
          ? "`provider: proxy` has no container"
          : "packet rules cannot be had for `provider: docker-rootless`; podman and docker have them";
      context.addIssue({ code: "custom", path: ["network"], message: `expected isolated, because ${why}` });
    }
    if (contract.provider === "proxy") {
      if (contract.services.length !== 1) {
        context.addIssue({
          code: "custom",
          path: ["services"],
          message: "expected exactly one service, because with `provider: proxy` the tunnel ends there",
        });
      }
      if (contract.services[0] !== undefined && "device" in contract.services[0]) {
        context.addIssue({
          code: "custom",
          path: ["services", 0, "device"],
          message: "expected none, because `provider: proxy` has no container that could show it",
        });
      }
      for (const field of ["devices", "init_inside"] as const) {
        if (contract[field].length > 0) {
          context.addIssue({ code: "custom", path: [field], message: "expected none, because `provider: proxy` has no container" });
        }
      }
      if (contract.probe === "banner") {
        context.addIssue({
          code: "custom",
          path: ["probe"],
          message: "expected connect or none, because `provider: proxy` has no SSH server",
        });
      }
    } else if (contract.public_port) {
      context.addIssue({
        code: "custom",
        path: ["public_port"],
        message: "expected only with `provider: proxy`; a container always has a public port",
      });
    }
    for (const name of Object.keys(contract.env).filter((name) => RESERVED_VARIABLE.test(name))) {
      context.addIssue({ code: "custom", path: ["env", name], message: IS_RESERVED });
    }
    const names = contract.services.map((service) => service.name);
    names.forEach((name, index) => {
      if (names.indexOf(name) !== index)
        context.addIssue({
          code: "custom",
          path: ["services", index, "name"],
          message: `expected another name, because ${name} is used twice`,
        });
      else if (name in contract.env)
        context.addIssue({
          code: "custom",
          path: ["services", index, "name"],
          message: `expected another name, because \`env\` has ${name} as well`,
        });
    });
  });
export type Contract = z.infer<typeof Contract>;

/** What others are told of the contract's provider: a rootless Docker is a Docker. */
export function providerOf(contract: Contract): Provider {
  return contract.provider === "docker-rootless" ? "docker" : contract.provider;
}

/** How READY is proved for this contract: its own word, else a banner for containers and a connection for `proxy`. */
export function probeOf(contract: Contract): Probe {
  return contract.probe ?? (contract.provider === "proxy" ? "connect" : "banner");
}

/**
 * Longest time the contract's programs for ending may take together, in seconds: how long the server waits for the
 * host's word. `safe_state` is among them, because an end waits for it when a filter was lost.
 */
export function endTimeoutSeconds(contract: Contract): number {
  return [...contract.terminate, ...contract.baseline, ...contract.safe_state].reduce(
    (sum, program) => sum + (program.timeout ?? DEFAULT_PROGRAM_TIMEOUT_S),
    0,
  );
}
