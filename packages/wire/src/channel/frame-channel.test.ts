import { expect, test } from "vitest";
import { FrameChannel } from "./frame-channel.ts";
import type { MessageSocket } from "./message-socket.ts";

/** A channel of numbers, and what its peer sends. */
function makeChannel() {
  let listener: Parameters<MessageSocket["listen"]>[0] | undefined;
  const socket: MessageSocket = {
    send: () => {},
    bufferedBytes: () => 0,
    bytesRead: () => 0,
    pause: () => {},
    resume: () => {},
    close: () => {},
    destroy: () => {},
    listen: (given) => (listener = given),
  };
  const receive = { safeParse: (data: unknown) => ({ success: true as const, data: data as number }) };
  const clock = { monotonicMs: () => 0, after: () => ({ [Symbol.dispose]() {} }) };
  const channel = new FrameChannel<number, never>({ socket, receive, clock, watch: "answers" });
  return { channel, say: (n: number) => listener?.onText(JSON.stringify(n)) };
}

test("a handler of batches gets all that waits, in order and at most so many, and the next only when it has settled", async () => {
  const { channel, say } = makeChannel();
  for (const n of [1, 2, 3, 4, 5]) say(n);
  const got: (readonly number[])[] = [];
  let settle = () => {};
  channel.handleBatches(3, (messages) => {
    got.push(messages);
    return new Promise((resolve) => (settle = resolve));
  });
  expect(got).toEqual([[1, 2, 3]]);
  say(6);
  settle();
  await Promise.resolve();
  expect(got).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  settle();
  await new Promise(setImmediate);
  say(7);
  expect(got.at(-1)).toEqual([7]);
});
