import { readPort } from "../read-port.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { programLogger, untilInterrupted } from "./serving.ts";

interface SimFlags {
  host: string;
  port: number;
  serial?: string;
  rosbridge?: number;
}

export const addSim: AddVerb = (program, shell) => {
  program
    .command("sim")
    .summary("run a simulated robot")
    .description(
      "Runs a small mobile robot with an HTTP API, a camera, and on demand a serial line (with\n" +
        "socat) and ROS through rosbridge. GET /ledger lists what reached it.",
    )
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port of its HTTP API; 0 for a free one", readPort, 0)
    .option("--rosbridge <port>", "port for ROS through rosbridge; 0 for a free one", readPort)
    .option("--serial <path>", "where to put the device file of its serial line")
    .action(
      runs(shell, async ({ context, options, output }, flags: SimFlags) => {
        const { startRobot } = await import("@hardshare/sim");
        const logger = programLogger("sim", options);
        await using robot = await startRobot({
          host: flags.host,
          port: flags.port,
          serialLink: flags.serial,
          rosbridgePort: flags.rosbridge,
          clock: context.clock,
          logger,
        });
        if (robot.serialProblem !== null) logger.warn("no serial line", { problem: robot.serialProblem });
        const { url, serialPath: serial, serialProblem, rosbridgePort: rosbridge } = robot;
        output.result({ url, serial, serialProblem, rosbridge }, () =>
          rosbridge === null ? `robot on ${url}` : `robot on ${url}, rosbridge on port ${rosbridge}`,
        );
        await untilInterrupted(context);
      }),
    )
    .addHelpText("after", examples(["hardshare sim --port 8000", "try a filter against it"]));
};
