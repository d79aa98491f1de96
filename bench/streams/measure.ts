/** What is measured on a way to the stream server, whichever way it is. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { timed } from "../race.ts";

/** Where a way begins. */
export interface Way {
  host: string;
  port: number;
}

const PING_BYTES = 64;

async function open({ host, port }: Way): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** Megabytes (10^6) per second of one stream of `sizeBytes` from the far end. */
export async function measureThroughput(way: Way, sizeBytes: number): Promise<number> {
  let received = 0;
  const count = (bytes: number) => {
    received += bytes;
    return true;
  };
  // One buffer for all that comes: the meter takes as little of the processors as it can.
  const socket = connect({ ...way, noDelay: true, onread: { buffer: Buffer.alloc(256 * 1024), callback: count } });
  await once(socket, "connect");
  const ms = await timed(async () => {
    socket.write(`S${sizeBytes}\n`);
    await once(socket, "end");
  });
  socket.destroy();
  if (received !== sizeBytes) throw new Error(`${received} of ${sizeBytes} bytes came through`);
  return sizeBytes / 1e6 / (ms / 1000);
}

/** Milliseconds of `count` round trips of 64 bytes, one after the other. */
export async function measureRoundTrips(way: Way, count: number): Promise<number[]> {
  const socket = await open(way);
  const ping = Buffer.alloc(PING_BYTES, 0x70);
  const trip = async (extra = "") => {
    let missing = PING_BYTES;
    const whole = new Promise<void>((resolve, reject) => {
      const take = (chunk: Buffer) => {
        missing -= chunk.length;
        if (missing > 0) return;
        socket.off("data", take);
        resolve();
      };
      socket.on("data", take);
      socket.once("close", () => reject(new Error("the connection broke")));
    });
    socket.write(extra === "" ? ping : Buffer.concat([Buffer.from(extra), ping]));
    await whole;
  };
  socket.setMaxListeners(0);
  await trip("E"); // the first one opens the way
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) times.push(await timed(() => trip()));
  socket.destroy();
  return times;
}

/** The same while one stream fills the way. */
export async function measureRoundTripsUnderLoad(way: Way, count: number): Promise<number[]> {
  const bulk = await open(way);
  bulk.on("error", () => {});
  bulk.write(`S${Number.MAX_SAFE_INTEGER}\n`);
  await once(bulk, "data");
  bulk.resume();
  try {
    return await measureRoundTrips(way, count);
  } finally {
    bulk.destroy();
  }
}

/** New connections per second: opened, one byte each way, closed; eight at a time. */
export async function measureConnections(way: Way, count: number): Promise<number> {
  let left = count;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      const socket = await open(way);
      socket.write("C");
      await once(socket, "data");
      socket.destroy();
    }
  };
  const ms = await timed(() => Promise.all(Array.from({ length: 8 }, worker)));
  return count / (ms / 1000);
}
