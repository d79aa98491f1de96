import type { FilterDirection } from "@hardshare/protocol";
import type { WebSocket } from "ws";

/** A message of a WebSocket: a text, or bytes. */
export type SocketMessage = string | Buffer;

/** What becomes of a message: what goes on to the other side, and what its sender is told. */
export interface SocketPassage {
  readonly onward?: SocketMessage | undefined;
  readonly back?: readonly string[] | undefined;
}

interface RelayOptions {
  readonly client: WebSocket;
  readonly device: WebSocket;
  /** Called for each message when it has come whole. */
  readonly judge: (direction: FilterDirection, message: SocketMessage) => SocketPassage;
  /** The side that sends in this direction broke the protocol; the connection ends. */
  readonly onBroken: (direction: FilterDirection, error: Error) => void;
}

/** When this much waits to be taken by one side, nothing more is read from the other. */
const FULL_BYTES = 1024 ** 2;
/** What a close may say (RFC 6455 §7.4); the others are for what was not said. */
const isSayable = (code: number) => (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);

/**
 * Joins two open WebSockets: each message is judged when it has come whole, and what passes is written anew, as fast as it
 * is read. Pings are answered on each side, and do not pass. When one side closes, so does the other; nothing is judged
 * any more when either has.
 */
export function relayMessages(options: RelayOptions): void {
  const { client, device } = options;
  relay(client, device, "in", options);
  relay(device, client, "out", options);
}

function relay(from: WebSocket, to: WebSocket, direction: FilterDirection, { judge, onBroken }: RelayOptions): void {
  const send = paced(from);
  from.on("message", (data: Buffer, isBinary) => {
    if (from.readyState !== from.OPEN || to.readyState !== to.OPEN) return;
    try {
      const { onward, back = [] } = judge(direction, isBinary ? data : data.toString("utf8"));
      if (onward !== undefined) send(to, onward);
      for (const text of back) send(from, text);
    } catch (error) {
      to.terminate();
      from.terminate();
      onBroken(direction, error as Error);
    }
  });
  from.on("error", (error) => onBroken(direction, error)); // the library has told its sender, and closes
  from.once("close", (code, reason) => {
    if (code === 1006) to.terminate();
    else if (isSayable(code)) to.close(code, direction === "out" ? reason : undefined);
    else to.close();
  });
}

/** Sends what `from` brought about, and reads no more from it until each side has taken most of what waits for it. */
function paced(from: WebSocket): (to: WebSocket, message: SocketMessage) => void {
  const full = new Set<WebSocket>();
  return (to, message) => {
    to.send(message, { binary: typeof message !== "string" }, () => {
      if (to.bufferedAmount < FULL_BYTES / 2 && full.delete(to) && full.size === 0) from.resume();
    });
    if (to.bufferedAmount <= FULL_BYTES) return;
    full.add(to);
    from.pause();
  };
}
