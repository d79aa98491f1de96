import fc from "fast-check";
import { expect, test } from "vitest";
import { BoundedChannel, type ChannelLink } from "./bounded-channel.ts";
import { MIN_PACKET_BYTES, PACKET_BYTES, WINDOW_BYTES } from "./limits.ts";

interface Peer {
  window: number;
  packetSize: number;
}

/** Two ends of a channel with nothing between them but queues of messages, which a test lets through one by one. */
class Pair {
  readonly a: BoundedChannel;
  readonly b: BoundedChannel;
  readonly #toA: ((channel: BoundedChannel) => unknown)[] = [];
  readonly #toB: ((channel: BoundedChannel) => unknown)[] = [];
  largestPacket = 0;

  constructor(peer: Peer) {
    this.a = new BoundedChannel(this.#linkTo(this.#toB), peer);
    this.b = new BoundedChannel(this.#linkTo(this.#toA), { window: WINDOW_BYTES, packetSize: PACKET_BYTES });
  }

  /** Lets up to `count` messages through each way. @returns whether there were any */
  deliver(count: number): boolean {
    let isAny = false;
    for (let index = 0; index < count; index += 1) {
      const toB = this.#toB.shift();
      const toA = this.#toA.shift();
      if (toB?.(this.b) === false || toA?.(this.a) === false) throw new Error("an honest peer is taken for one that breaks the protocol");
      isAny ||= toA !== undefined || toB !== undefined;
    }
    return isAny;
  }

  #linkTo(queue: ((channel: BoundedChannel) => unknown)[]): ChannelLink {
    return {
      sendData: (data) => {
        const copy = Buffer.from(data);
        this.largestPacket = Math.max(this.largestPacket, data.length);
        queue.push((channel) => channel.receiveData(copy));
      },
      openWindow: (bytes) => queue.push((channel) => channel.receiveWindow(bytes)),
      sendEof: () => queue.push((channel) => channel.receiveEof()),
      sendClose: () => queue.push((channel) => channel.receiveClose()),
      schedule: (channel) => {
        while (channel.sendPacket());
      },
    };
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

const step = fc.oneof(
  fc.record({ do: fc.constant("write" as const), bytes: fc.oneof(fc.nat(10), fc.nat(100_000), fc.nat(500_000)) }),
  fc.record({ do: fc.constant("deliver" as const), count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ do: fc.constantFrom("read" as const, "flow" as const, "pause" as const) }),
);

test("bytes come out as they went in, whoever waits for whom, and no more than the window is held", async () => {
  const peer = fc.record({ window: fc.constant(WINDOW_BYTES), packetSize: fc.integer({ min: MIN_PACKET_BYTES, max: 100_000 }) });
  await fc.assert(
    fc.asyncProperty(peer, fc.array(step, { maxLength: 30 }), async (given, steps) => {
      const pair = new Pair(given);
      const sent: Buffer[] = [];
      const got: Buffer[] = [];
      let sum = 0;
      pair.b.on("data", (chunk: Buffer) => got.push(chunk)).pause();
      const ended = new Promise((resolve) => pair.b.once("end", resolve));
      for (const action of steps) {
        if (action.do === "write") {
          const bytes = Buffer.alloc(action.bytes, sum++);
          sent.push(bytes);
          pair.a.write(bytes);
        } else if (action.do === "deliver") pair.deliver(action.count);
        else if (action.do === "pause") pair.b.pause();
        else if (action.do === "flow") pair.b.resume();
        else pair.b.read();
        await turn();
        expect(pair.b.bufferedBytes).toBeLessThanOrEqual(WINDOW_BYTES);
      }
      pair.a.end();
      pair.b.resume();
      while (!pair.b.readableEnded) {
        const isMoving = pair.deliver(100);
        await turn();
        if (!isMoving && !pair.deliver(1) && !pair.b.readableEnded) await Promise.race([ended, turn().then(turn)]);
      }
      expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true);
      expect(pair.largestPacket).toBeLessThanOrEqual(Math.min(PACKET_BYTES, given.packetSize));
    }),
    { numRuns: 100 },
  );
});

test("whatever a peer sends in whatever order, a channel holds no more than its window", async () => {
  const message = fc.oneof(
    fc.record({ is: fc.constant("data" as const), bytes: fc.oneof(fc.constant(0), fc.nat(100), fc.nat(60_000)) }),
    fc.record({ is: fc.constant("window" as const), bytes: fc.oneof(fc.constant(0), fc.nat(100_000), fc.constant(0xffff_ffff)) }),
    fc.record({
      is: fc.constantFrom("eof" as const, "close" as const, "read" as const, "write" as const, "end" as const, "destroy" as const),
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 1, 0xffff_ffff), fc.array(message, { maxLength: 30 }), async (window, messages) => {
      let openedBytes = 0;
      let takenBytes = 0;
      let closes = 0;
      const link: ChannelLink = {
        sendData: () => {},
        openWindow: (bytes) => (openedBytes += bytes),
        sendEof: () => {},
        sendClose: () => (closes += 1),
        schedule: (channel) => void channel.sendPacket(),
      };
      const channel = new BoundedChannel(link, { window, packetSize: MIN_PACKET_BYTES });
      for (const { is, ...rest } of messages) {
        const bytes = "bytes" in rest ? rest.bytes : 0;
        if (is === "data") {
          const mayCome = takenBytes + bytes <= WINDOW_BYTES + openedBytes;
          expect(channel.receiveData(Buffer.alloc(bytes))).toBe(mayCome);
          if (!mayCome) break; // the connection is cut
          takenBytes += bytes;
        } else if (is === "window") {
          if (!channel.receiveWindow(bytes)) break;
        } else if (is === "eof") channel.receiveEof();
        else if (is === "close") channel.receiveClose();
        else if (is === "read") channel.read();
        else if (is === "write") channel.write("x");
        else if (is === "end") channel.end();
        else channel.destroy();
        expect(channel.bufferedBytes).toBeLessThanOrEqual(WINDOW_BYTES + messages.length);
        if (messages.length % 3 === 0) await turn();
      }
      channel.destroy();
      await turn();
      expect(closes).toBe(1);
      expect(channel.bufferedBytes).toBeLessThanOrEqual(60_000 + messages.length); // a packet that Node's stream has taken, at most
    }),
  );
});
