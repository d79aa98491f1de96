import type { Duplex } from "node:stream";
import { connectToHub, type HubLogin } from "./client-connection.ts";

export interface OpenThroughHubOptions extends HubLogin {
  /** Instance id. */
  destination: string;
  /** The user's address, on which the hub applies the instance's firewall. */
  originAddress: string;
  originPort: number;
  /** Ends the attempt, or the stream when it is open. */
  signal: AbortSignal;
}

/** Port named in the request; a hub has one endpoint for each instance, whatever the port. */
const DESTINATION_PORT = 22;

/**
 * Opens one stream to an instance, through a connection of its own (streams in separate connections don't wait for
 * each other); the connection ends with the stream.
 * @throws AppError as `connectToHub`; `connection_lost` when the hub refuses the stream
 */
export async function openThroughHub(options: OpenThroughHubOptions): Promise<Duplex> {
  const { destination, originAddress, originPort, signal } = options;
  const connection = await connectToHub(options, signal, (request) => request.reject("prohibited", "nothing is forwarded here"));
  try {
    const target = { host: destination, port: DESTINATION_PORT, originAddress, originPort };
    const stream = await connection.channels.open(target, signal);
    stream.once("close", () => connection.socket.end());
    return stream;
  } catch (error) {
    connection.socket.destroy();
    throw error;
  }
}
