import type { Socket } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { ChannelClock } from "../channel/needs.ts";

/** How often a side looks whether anything came from the other, and after how many looks in vain the connection is dead. */
export interface Liveness {
  intervalMs: number;
  misses: number;
}

/** Between machines of the infrastructure, and towards a host: a pulled cable is noticed within 15–20 s by both ends, and other connections take over. */
export const HOST_LIVENESS: Liveness = { intervalMs: 5000, misses: 3 };
/** Towards a user, whose computer may be out of reach for a moment. */
export const USER_LIVENESS: Liveness = { intervalMs: 30_000, misses: 4 };

/** Watches a connection until it closes, and cuts it when nothing comes. Without `ping` it relies on the other side's. */
export function watchLiveness(socket: Socket, clock: ChannelClock, liveness: Liveness, ping?: () => void): void {
  let seenBytes = socket.bytesRead;
  let misses = 0;
  const look = () => {
    misses = socket.bytesRead === seenBytes ? misses + 1 : 0;
    seenBytes = socket.bytesRead;
    if (misses >= liveness.misses) {
      socket.destroy(new AppError("connection_lost", `nothing came for ${(liveness.misses * liveness.intervalMs) / 1000} s`));
      return;
    }
    ping?.();
    timer = clock.after(liveness.intervalMs, look);
  };
  let timer = clock.after(liveness.intervalMs, look);
  socket.once("close", () => timer[Symbol.dispose]());
}
