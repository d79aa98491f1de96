import { AppError } from "@hardshare/protocol";
import type { Clock, Logger } from "@hardshare/runtime";
import { RobotBody } from "./body/robot-body.ts";
import { listActions } from "./http/robot-api.ts";
import { startRobotServer } from "./http/robot-server.ts";
import { Ledger } from "./ledger.ts";
import { LineProtocol } from "./serial/line-protocol.ts";
import { startRosbridgeServer } from "./rosbridge/rosbridge-server.ts";
import { findSocatProblem } from "./serial/pseudo-terminal.ts";
import { SerialLine } from "./serial/serial-line.ts";

/** A running simulated robot. */
export interface Robot extends AsyncDisposable {
  /** Of its HTTP API, such as `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly port: number;
  /** Device file of its serial line (a link), or null when it has none. */
  readonly serialPath: string | null;
  /** Port of its rosbridge, or null when it has none. */
  readonly rosbridgePort: number | null;
  /** Why it has no serial line although one was asked for, and what to do; else null. */
  readonly serialProblem: string | null;
}

export interface RobotOptions {
  /** Address to listen at. */
  readonly host: string;
  /** Port to listen at; 0 for a free one. */
  readonly port: number;
  /** Where to put the device file of the serial line; without it there is no serial line. */
  readonly serialLink?: string | undefined;
  /** Port for ROS through rosbridge; 0 for a free one; without it there is none. */
  readonly rosbridgePort?: number | undefined;
  /** How many entries the ledger keeps. */
  readonly ledgerLimit?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LEDGER_LIMIT = 10_000;

/**
 * Switches a robot on; resolves when it can be reached. What keeps its serial line from working does not keep the robot.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function startRobot(options: RobotOptions): Promise<Robot> {
  const { host, serialLink, clock, logger } = options;
  const body = new RobotBody(clock);
  const ledger = new Ledger(clock, options.ledgerLimit ?? LEDGER_LIMIT);
  const server = await startRobotServer({ host, port: options.port, actions: listActions(body), ledger, logger });
  const rosbridge = options.rosbridgePort === undefined ? null : await startRosbridge(options.rosbridgePort);
  const serial = serialLink === undefined ? null : await startSerial(serialLink);

  async function startRosbridge(port: number) {
    try {
      return await startRosbridgeServer({ host, port, body, ledger, clock, logger });
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }

  async function startSerial(link: string): Promise<SerialLine | { problem: string }> {
    const problem = await findSocatProblem();
    if (problem !== null) return { problem };
    try {
      return await SerialLine.start({ link, protocol: new LineProtocol(body, ledger), clock, logger });
    } catch (error) {
      if (error instanceof AppError) return { problem: error.message };
      throw error;
    }
  }

  const line = serial instanceof SerialLine ? serial : null;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${server.port}`,
    port: server.port,
    rosbridgePort: rosbridge?.port ?? null,
    serialPath: line === null ? null : (serialLink ?? null),
    serialProblem: serial !== null && "problem" in serial ? serial.problem : null,
    async [Symbol.asyncDispose]() {
      await Promise.all([line?.[Symbol.asyncDispose](), rosbridge?.[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
    },
  };
}
