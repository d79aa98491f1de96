import { z } from "zod";
import { DurationSeconds } from "./durations.ts";
import { Probe, Provider } from "./instances.ts";

/** Seconds a lifecycle program may take unless its entry says otherwise. */
export const DEFAULT_PROGRAM_TIMEOUT_S = 120;
/** Seconds of an instance that asked for no time, unless the contract says otherwise. */
export const DEFAULT_MAX_DURATION_S = 8 * 3600;

/** Least memory of a container: with less its SSH server does not start. */
const MIN_MEMORY_BYTES = 16 * 1024 ** 2;
/** Fewest processors: a hundredth of one; engines take 0 for no limit. */
const MIN_CPUS = 0.01;

/** A program and its arguments, split at blanks without a shell. */
const CommandLine = z.string().regex(/\S/, "expected a program");

/** What a failing program means: go on with a warning, end the instance, or lock the deployment. */
export const OnFail = z.enum(["warn", "end", "lock"]);
export type OnFail = z.infer<typeof OnFail>;

/** One lifecycle program: a shell-free command line split at blanks, or its long form. */
export const LifecycleProgram = z
  .union([
    CommandLine,
    z.strictObject({
      run: CommandLine.describe("The command line, split at blanks without a shell."),
      timeout: DurationSeconds.optional().describe("Longest time it may take; default 120s."),
      on_fail: OnFail.optional().describe(
        "`end` (default before READY), `lock` (default at the end and for safe_state), or `warn` to go on.",
      ),
    }),
  ])
  .transform((entry) => (typeof entry === "string" ? { run: entry } : entry))
  .describe("A program, split at blanks without a shell, or its long form with `timeout` (default 120s) and `on_fail`.");
export type LifecycleProgram = { run: string; timeout?: number | undefined; on_fail?: OnFail | undefined };

/** Variables that decide which programs run, or that are set by hardshare itself. */
const RESERVED_VARIABLE = /^(?:PATH|HOME|LD_PRELOAD|LD_LIBRARY_PATH|HARDSHARE_.*)$/;
const IS_RESERVED = "expected another name, because this one is reserved";

const ServiceName = z
  .string()
  .regex(
    /^[A-Z][A-Z0-9_]{0,63}$/,
    "expected capital letters, digits and '_', because the instance finds it in an environment variable of this name",
  )
  .refine((name) => !RESERVED_VARIABLE.test(name), IS_RESERVED)
  .describe("Capital letters; the instance finds host:port in the environment variable of this name.");

const CommandService = z.strictObject({
  name: ServiceName,
  command: CommandLine.describe("Any program that prints host:port on its first line of standard output, then serves."),
});

/** What is no number is told by its pattern. */
const isPortOrNone = (text: string) => !/^\d+$/.test(text) || (Number(text) >= 1 && Number(text) <= 65_535);

const HttpService = z.strictObject({
  name: ServiceName,
  filter: z.literal("http").describe("The kind of filter."),
  target: z
    .string()
    .regex(/^(\[[0-9a-fA-F:]+\]|[^\s:/]+):\d{1,5}$/, "expected host:port of the device, such as 192.168.1.134:80")
    .refine((target) => isPortOrNone(target.slice(target.lastIndexOf(":") + 1)), "expected a port from 1 to 65535")
    .describe("host:port of the device."),
  rules: z.string().min(1).describe("Rules file, relative to the contract file."),
});

/** A program on the host that an instance may talk to. */
export const Service = z.union([HttpService, CommandService]);
export type Service = z.infer<typeof Service>;

/** A memory size such as `512m` or `1g`; becomes bytes. */
const MemorySize = z
  .string()
  .regex(/^\d+(?:\.\d+)?[kmg]$/i, "expected a size such as 512m or 1g")
  .transform((text) =>
    Math.round(Number(text.slice(0, -1)) * { k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[text.slice(-1).toLowerCase() as "k" | "m" | "g"]),
  )
  .refine((bytes) => bytes >= MIN_MEMORY_BYTES && bytes <= Number.MAX_SAFE_INTEGER, "expected at least 16m, and no more than there can be");

const EnvironmentName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "expected the name of an environment variable");

const DevicePath = z
  .string()
  .regex(/^\/dev\/[^\0]+$/, "expected the path of a device file, such as /dev/ttyACM0")
  .refine((path) => !path.split("/").includes(".."), "expected a path without `..`")
  .refine(
    (path) => !path.includes(":"),
    "expected a path without ':', at which container engines split it: use the name in /dev/serial/by-id, or the device file itself (`readlink -f PATH`)",
  );

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
    network: z
      .literal("isolated", { error: "expected isolated (internet and open are not yet available)" })
      .default("isolated")
      .describe("What the instance reaches: nothing but the services below."),
    devices: z.array(DevicePath).default([]).describe("Device files given as they are: unfiltered."),
    services: z.array(Service).default([]).describe("Programs on the host that the instance may talk to."),
    probe: Probe.optional().describe("How READY is proved; default `banner` (of SSH), for `proxy` `connect`."),
    init: z.array(LifecycleProgram).default([]).describe("Run on the host, before READY."),
    init_inside: z.array(LifecycleProgram).default([]).describe("Run in the container, before READY."),
    terminate: z.array(LifecycleProgram).default([]).describe("Run on the host, at the end of every instance."),
    safe_state: z
      .array(LifecycleProgram)
      .default([])
      .describe("Run on the host when a service is lost, and after a restart of the host daemon."),
    public_port: z.boolean().default(false).describe("`proxy` only: open a port of the hub that authenticates nobody."),
    max_duration: DurationSeconds.refine((seconds) => seconds >= 1, "expected 1s to 3650d")
      .default(DEFAULT_MAX_DURATION_S)
      .describe("How long an instance lasts that asks for no time (default 8h)."),
  })
  .superRefine((contract, context) => {
    if (contract.provider === "proxy") {
      if (contract.services.length !== 1) {
        context.addIssue({
          code: "custom",
          path: ["services"],
          message: "expected exactly one service, because with `provider: proxy` the tunnel ends there",
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
  return [...contract.terminate, ...contract.safe_state].reduce((sum, program) => sum + (program.timeout ?? DEFAULT_PROGRAM_TIMEOUT_S), 0);
}
