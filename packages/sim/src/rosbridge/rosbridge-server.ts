import type { AddressInfo } from "node:net";
import type { Clock, Logger } from "@hardshare/runtime";
import { WebSocketServer } from "ws";
import type { RobotBody } from "../body/robot-body.ts";
import type { Ledger } from "../ledger.ts";
import { makeRobotGraph } from "./robot-graph.ts";
import { RosbridgeSession, type SharedByClients } from "./rosbridge-session.ts";
import { untilListening } from "../until-listening.ts";

/** Largest message. */
const MAX_MESSAGE_BYTES = 4 * 1024 ** 2;
/** A client that does not read so much of what it subscribed is dropped. */
const MAX_UNREAD_BYTES = 1024 ** 2;

export interface RosbridgeServer extends AsyncDisposable {
  readonly port: number;
}

/**
 * Serves the robot's ROS topics, services and actions in the manner of rosbridge. Every operation that reaches it is an
 * entry of the ledger.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function startRosbridgeServer(options: {
  host: string;
  port: number;
  body: RobotBody;
  ledger: Ledger;
  clock: Clock;
  logger: Logger;
}): Promise<RosbridgeServer> {
  const { host, port, body, ledger, clock, logger } = options;
  const server = new WebSocketServer({ host, port, maxPayload: MAX_MESSAGE_BYTES });
  const graph = makeRobotGraph(body, clock);
  const shared: SharedByClients = { fragments: new Map(), goals: new Map() };
  server.on("connection", (socket) => {
    const session = new RosbridgeSession({
      graph,
      shared,
      ledger,
      clock,
      send(message) {
        if (socket.bufferedAmount > MAX_UNREAD_BYTES) socket.terminate();
        else socket.send(JSON.stringify(message));
      },
    });
    socket.on("error", (error) => logger.warn("a client of rosbridge broke the protocol", { error }));
    socket.on("message", (data: Buffer, isBinary) =>
      isBinary ? session.receiveBytes(data.length) : session.receive(data.toString("utf8")),
    );
    socket.once("close", () => session[Symbol.dispose]());
  });
  await untilListening(server, { host, port });
  server.on("error", (error) => logger.warn("a connection was not accepted", { error }));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const client of server.clients) client.terminate();
      for (const goal of shared.goals.values()) goal.cancel();
      await closed;
    },
  };
}
