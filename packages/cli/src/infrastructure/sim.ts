import { readPort } from "../read-port.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { programLogger, untilInterrupted } from "./serving.ts";

interface SimFlags {
  host: string;
  port: number;
  serial?: string;
}

export const addSim: AddVerb = (program, shell) => {
  program
    .command("sim")
    .summary("run a simulated robot")
    .description("Runs a small mobile robot with an HTTP API, a camera and, with socat, a serial line. GET /ledger lists what reached it.")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port of its HTTP API; 0 for a free one", readPort, 0)
    .option("--serial <path>", "where to put the device file of its serial line")
    .action(
      runs(shell, async ({ context, options, output }, flags: SimFlags) => {
        const { startRobot } = await import("@hardshare/sim");
        const logger = programLogger("sim", options);
        await using robot = await startRobot({
          host: flags.host,
          port: flags.port,
          serialLink: flags.serial,
          clock: context.clock,
          logger,
        });
        if (robot.serialProblem !== null) logger.warn("no serial line", { problem: robot.serialProblem });
        const { url, serialPath: serial, serialProblem } = robot;
        output.result({ url, serial, serialProblem }, () => `robot on ${robot.url}`);
        await untilInterrupted(context);
      }),
    )
    .addHelpText("after", examples(["hardshare sim --port 8000", "try a filter against it"]));
};
