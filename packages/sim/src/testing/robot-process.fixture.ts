import { silentLogger, systemClock } from "@hardshare/runtime";
import { startRobot } from "../robot.ts";

/** For tests: a robot in a process of its own, which prints a line when it is up. The argument is its serial link. */
const robot = await startRobot({ host: "127.0.0.1", port: 0, serialLink: process.argv[2], clock: systemClock, logger: silentLogger });
process.stdout.write(`${robot.serialProblem ?? robot.url}\n`);
