import type { ChannelClock } from "../channel/needs.ts";
import type { BoundedChannel } from "./bounded-channel.ts";
import type { ChannelRequest } from "./channel-table.ts";
import { connectToHub, type HubLogin } from "./client-connection.ts";
import { HOST_LIVENESS, watchLiveness } from "./liveness.ts";

export interface OpenThroughHubOptions extends HubLogin {
  /** Instance id. */
  destination: string;
  /** The user's address, on which the hub applies the instance's firewall. */
  originAddress: string;
  originPort: number;
  /** Ends the attempt, or the stream when it is open. */
  signal: AbortSignal;
  clock: ChannelClock;
}

/** Port named in the request; a hub has one endpoint for each instance, whatever the port. */
const DESTINATION_PORT = 22;
/** How long the hub may take to close the connection after its stream has ended. */
export const CLOSE_GRACE_MS = 3000;

/**
 * Opens one stream to an instance, through a connection of its own (streams in separate connections don't wait for
 * each other); the connection ends with the stream, and the stream when nothing comes from the hub any more.
 * @throws AppError as `connectToHub`; `connection_lost` when the hub refuses the stream
 */
export async function openThroughHub(options: OpenThroughHubOptions): Promise<BoundedChannel> {
  const { destination, originAddress, originPort, signal, clock } = options;
  const onRequest = (request: ChannelRequest) => request.reject("prohibited", "nothing is forwarded here");
  const connection = await connectToHub(options, { signal, onRequest, clock });
  const { socket } = connection;
  watchLiveness(socket, clock, HOST_LIVENESS, () => connection.ping());
  try {
    const target = { host: destination, port: DESTINATION_PORT, originAddress, originPort };
    const stream = await connection.channels.open(target, signal);
    stream.once("close", () => {
      socket.end();
      const timer = clock.after(CLOSE_GRACE_MS, () => socket.destroy());
      socket.once("close", () => timer[Symbol.dispose]());
    });
    return stream;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
