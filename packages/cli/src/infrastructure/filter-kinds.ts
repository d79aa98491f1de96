import type { FilterKind } from "@hardshare/filters";
import { AppError } from "@hardshare/protocol";
import type { Command } from "commander";
import { readPort } from "../read-port.ts";
import { examples, runs, type Shell } from "../verb.ts";
import { programLogger } from "./serving.ts";

/** What kinds of filters take. */
interface RunFlags {
  target?: string;
  rules?: string;
  config?: string;
  host: string;
  port: number;
  state?: string;
  decisions?: string;
  baud?: number;
  username?: string;
  passwordFile?: string;
}

const DEFAULT_BAUD = 115_200;

function readBaud(text: string): number {
  const baud = Number(text);
  if (/^\d+$/.test(text) && baud >= 50 && baud <= 12_000_000) return baud;
  throw new AppError("bad_input", `"${text}" is no speed; expected bits per second, such as 9600 or 115200`, {
    details: { field: "baud" },
  });
}

type Filters = typeof import("@hardshare/filters");

/** The verbs that run one kind of filter each. */
export function addFilterKinds(run: Command, shell: Shell): void {
  /** A verb that runs one kind of filter. */
  const addKind = (kind: { command: Command; make: (filters: Filters, target: string, flags: RunFlags) => FilterKind<unknown> }) =>
    kind.command
      .option("--host <address>", "address to listen on", "127.0.0.1")
      .option("--port <port>", "port to listen on; 0 for a free one", readPort, 0)
      .option("--state <file>", "writes budgets down there, so that a crash can't refill them")
      .option("--decisions <file>", "writes every decision down there with its message, at most 64 MB, for `filter learn`")
      .action(
        runs(shell, async ({ context, options }, flags: RunFlags, target?: string) => {
          const filters = await import("@hardshare/filters");
          await filters.runFilter({
            kind: kind.make(filters, flags.target ?? target ?? "", flags),
            rulesFile: flags.rules ?? flags.config,
            host: flags.host,
            port: flags.port,
            stateFile: flags.state,
            decisionsFile: flags.decisions,
            stdout: context.stdout,
            stderr: context.stderr,
            onReloadAsked: context.onHangUp,
            onCutAsked: context.onCutAsked,
            signal: context.interrupted,
            clock: context.clock,
            logger: programLogger("filter", options),
          });
        }),
      );

  addKind({
    command: run
      .command("http")
      .description("judges HTTP requests by rules before they reach a device")
      .requiredOption("--target <host:port>", "the device")
      .requiredOption("--rules <file>", "its rules"),
    make: ({ httpFilterKind }, target) => httpFilterKind({ target }),
  }).addHelpText("after", examples(["hardshare filter run http --target 192.168.1.134:80 --rules robot.rules.yaml", "try rules out"]));

  addKind({
    command: run
      .command("rrhttp")
      .description("the filter `http` with a configuration file of the existing program rrhttp; without one, all passes")
      .argument("[target]", "host:port of the device")
      .option("--target <host:port>", "the same")
      .option("--config <file>", "its configuration")
      .option("--rules <file>", "the same"),
    make: ({ rrhttpFilterKind }, target) => rrhttpFilterKind({ target }),
  }).addHelpText("after", examples(["hardshare filter run rrhttp --config misty.yaml 192.168.1.134:80", "use a file that is there"]));

  addKind({
    command: run
      .command("rosbridge")
      .description("judges operations of the rosbridge protocol by rules before they reach a robot with ROS")
      .requiredOption("--target <host:port>", "the robot's rosbridge")
      .requiredOption("--rules <file>", "its rules"),
    make: ({ rosbridgeFilterKind }, target) => rosbridgeFilterKind({ target }),
  }).addHelpText("after", examples(["hardshare filter run rosbridge --target 192.168.1.134:9090 --rules ros.rules.yaml", "try rules out"]));

  addKind({
    command: run
      .command("serial")
      .description("judges lines (or other messages) by rules before they reach a serial device")
      .requiredOption("--target <device>", "the device file, such as /dev/ttyUSB0")
      .requiredOption("--rules <file>", "its rules")
      .option("--baud <rate>", "bits per second", readBaud, DEFAULT_BAUD),
    make: ({ serialFilterKind }, target, { baud }) => serialFilterKind({ target, baud: baud ?? DEFAULT_BAUD }),
  }).addHelpText(
    "after",
    examples(["hardshare filter run serial --target /dev/ttyUSB0 --baud 115200 --rules gcode.rules.yaml", "try rules out"]),
  );

  addKind({
    command: run
      .command("rpc")
      .description("judges calls of named procedures, which are programs of the rules file, and answers with their output")
      .requiredOption("--rules <file>", "its rules"),
    make: ({ rpcFilterKind }) => rpcFilterKind(),
  }).addHelpText("after", examples(["hardshare filter run rpc --rules arm.rules.yaml", "try rules out"]));

  addKind({
    command: run
      .command("rrpc")
      .description("the filter `rpc` with a configuration file of the existing program rrpc; without one it has no procedure")
      .option("--config <file>", "its configuration")
      .option("--rules <file>", "the same"),
    make: ({ rrpcFilterKind }) => rrpcFilterKind(),
  }).addHelpText("after", examples(["hardshare filter run rrpc --config lab.yaml", "use a file that is there"]));

  addKind({
    command: run
      .command("tcp")
      .description("judges connections by their peer, and bounds them, for a device whose messages no filter reads")
      .requiredOption("--target <host:port>", "the device")
      .requiredOption("--rules <file>", "its rules"),
    make: ({ tcpFilterKind }, target) => tcpFilterKind({ target }),
  }).addHelpText("after", examples(["hardshare filter run tcp --target 192.168.1.20:502 --rules plc.rules.yaml", "try rules out"]));

  addKind({
    command: run
      .command("mqtt")
      .description("judges what clients of MQTT publish and subscribe to by rules, in front of a broker")
      .requiredOption("--target <host:port>", "the broker")
      .requiredOption("--rules <file>", "its rules")
      .option("--username <name>", "by which the filter makes itself known to the broker")
      .option("--password-file <file>", "file whose first line is the password for it"),
    make: ({ mqttFilterKind }, target, { username, passwordFile }) => mqttFilterKind({ target, username, passwordFile }),
  }).addHelpText("after", examples(["hardshare filter run mqtt --target 127.0.0.1:1883 --rules lab.rules.yaml", "try rules out"]));
}
