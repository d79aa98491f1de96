import * as z from "zod";
import { NOT_BLANK } from "./programs.ts";

/** Variables that decide which programs run, or that are set by hardshare itself. */
export const RESERVED_VARIABLE = /^(?:PATH|HOME|LD_PRELOAD|LD_LIBRARY_PATH|HARDSHARE_.*)$/;
export const IS_RESERVED = "expected another name, because this one is reserved";

const ServiceName = z
  .string()
  .regex(
    /^[A-Z][A-Z0-9_]{0,63}$/,
    "expected capital letters, digits and '_', because the instance finds it in an environment variable of this name",
  )
  .refine((name) => !RESERVED_VARIABLE.test(name), IS_RESERVED)
  .describe("Capital letters; the instance finds host:port in the environment variable of this name.");

/** The path of a device file. */
export const DevicePath = z
  .string()
  .regex(/^\/dev\/[^\0]+$/, { error: "expected the path of a device file, such as /dev/ttyACM0", abort: true })
  .refine((path) => !path.split("/").includes(".."), "expected a path without `..`")
  .refine(
    (path) => !path.includes(":"),
    "expected a path without ':', at which container engines split it: use the name in /dev/serial/by-id, or the device file itself (`readlink -f PATH`)",
  );

const shared = {
  name: ServiceName,
  tap: z.boolean().default(false).describe("Copies both directions to the timeline and to a bounded log on the host."),
};

const CommandService = z.strictObject({
  ...shared,
  filter: z.undefined().optional(),
  command: z
    .string({ error: ({ input }) => (input === undefined ? `expected a program, or \`filter\` with ${namesOfFilters()}` : undefined) })
    .regex(NOT_BLANK, "expected a program")
    .describe("Any program that prints host:port on its first line of standard output, then serves."),
});

/** What is no number is told by its pattern. */
const isPortOrNone = (text: string) => !/^\d+$/.test(text) || (Number(text) >= 1 && Number(text) <= 65_535);

const RulesPath = z.string().min(1).describe("Rules file, relative to the contract file.");

/** host:port of a device. */
const HostPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^\s:/]+):\d{1,5}$/, "expected host:port of the device, such as 192.168.1.134:80")
  .refine((target) => isPortOrNone(target.slice(target.lastIndexOf(":") + 1)), "expected a port from 1 to 65535")
  .describe("host:port of the device.");

const httpFields = { ...shared, target: HostPort };

const HttpService = z.strictObject({
  ...httpFields,
  filter: z.literal("http").describe("The kind of filter."),
  rules: RulesPath,
});

/** The same filter, with a configuration file of the existing program `rrhttp`; without one, all passes, as there. */
const RrhttpService = z.strictObject({
  ...httpFields,
  filter: z.literal("rrhttp").describe("The filter `http` with a configuration file of the existing program of this name."),
  rules: RulesPath.optional(),
});

const RosbridgeService = z.strictObject({
  ...httpFields,
  filter: z.literal("rosbridge").describe("The kind of filter."),
  rules: RulesPath,
});

/** Rates that every serial port of the last decades can be set to, and the faster ones that are common. */
const BaudRate = z.int().min(50).max(12_000_000);

const SerialService = z.strictObject({
  ...shared,
  filter: z.literal("serial").describe("The kind of filter."),
  target: DevicePath.describe("Device file of the serial device, such as /dev/ttyUSB0 or a name in /dev/serial/by-id."),
  baud: BaudRate.default(115_200).describe("Bits per second."),
  rules: RulesPath,
  device: DevicePath.optional().describe("Shown in the container as this device file too, such as /dev/ttyUSB0."),
});
export type SerialService = z.infer<typeof SerialService>;

/** Its device is what the procedures of its rules do. */
const RpcService = z.strictObject({ ...shared, filter: z.literal("rpc").describe("The kind of filter."), rules: RulesPath });

/** The same filter, with a configuration file of the existing program `rrpc`. */
const RrpcService = z.strictObject({
  ...shared,
  filter: z.literal("rrpc").describe("The filter `rpc` with a configuration file of the existing program of this name."),
  rules: RulesPath,
});

const TcpService = z.strictObject({
  ...shared,
  filter: z.literal("tcp").describe("The kind of filter."),
  target: HostPort,
  rules: RulesPath,
});

const MqttService = z
  .strictObject({
    ...shared,
    filter: z.literal("mqtt").describe("The kind of filter."),
    target: HostPort.describe("host:port of the broker."),
    username: z.string().min(1).optional().describe("By which the filter makes itself known to the broker; no instance learns it."),
    password_file: z.string().min(1).optional().describe("File whose first line is the password for it, relative to the contract file."),
    rules: RulesPath,
  })
  .refine(({ username, password_file: file }) => file === undefined || username !== undefined, {
    path: ["password_file"],
    error: "expected `username` too",
  });

const FILTER_SERVICES = [
  HttpService,
  RosbridgeService,
  RrhttpService,
  RpcService,
  RrpcService,
  SerialService,
  TcpService,
  MqttService,
] as const;

function namesOfFilters(): string {
  const names = FILTER_SERVICES.map(({ shape }) => shape.filter.value);
  return `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
}

/** A program on the host that an instance may talk to. Which form is meant is told by `filter`, and by nothing else. */
export const Service = z.discriminatedUnion("filter", [...FILTER_SERVICES, CommandService], {
  error: ({ code }) =>
    code === "invalid_union" ? `expected ${namesOfFilters()}; a program of your own is told by \`command\` instead` : undefined,
});
export type Service = z.infer<typeof Service>;
