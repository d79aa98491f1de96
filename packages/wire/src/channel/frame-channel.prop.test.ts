import { AppError, HostHello, HostToServer, HubHello, HubToServer, ServerToHost, ServerToHub } from "@hardshare/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { acceptChannel } from "./accept-channel.ts";
import { FrameChannel, MAX_RECEIVE_QUEUE_CHARS } from "./frame-channel.ts";
import type { MessageSocket } from "./message-socket.ts";

/** A socket whose peer is the test. */
function makeSocket() {
  let listener: Parameters<MessageSocket["listen"]>[0] | undefined;
  const seen = { sent: [] as string[], isClosed: false, isPaused: false };
  const close = () => {
    if (seen.isClosed) return;
    seen.isClosed = true;
    queueMicrotask(() => listener?.onClose("closed"));
  };
  const socket: MessageSocket = {
    send: (text) => void seen.sent.push(text),
    bufferedBytes: () => 0,
    bytesRead: () => 0,
    pause: () => void (seen.isPaused = true),
    resume: () => void (seen.isPaused = false),
    close,
    destroy: close,
    listen: (given) => (listener = given),
  };
  return { socket, seen, say: (text: string) => listener?.onText(text), leave: close };
}

const clock = { monotonicMs: () => 0, after: () => ({ [Symbol.dispose]() {} }) };
const uuid = fc.uuid();
const word = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.constantFrom("run", "end", "2026-01-01T00:00:00.000Z", "desired", "ssh-ed25519 AAAA"),
);
const value = fc.oneof(fc.jsonValue({ maxDepth: 3 }), uuid, word, fc.nat(70_000));

/** Messages with the right words in their places, or anything else there. */
const fields = (
  "type id version session nonce signature bootId softwareVersion deployments revision deploymentId instanceId epoch sequence " +
  "at body kind step phase log lockoutId reason actor full instance publicPort status endpoints " +
  "closed code message newestVersion oldestVersion serverKey serverTime"
).split(" ");
const kinds = ["hello", "challenge", "welcome", "refused", "desired", "deployments", "report", "lockout", "endpoint", "report_ack", "ping"];
const report = fc.record({
  type: fc.constant("report"),
  deploymentId: uuid,
  instanceId: uuid,
  epoch: fc.integer({ min: 1, max: 9 }),
  sequence: fc.integer({ min: 1, max: 9 }),
  at: fc.constant("2026-01-01T00:00:00.000Z"),
  body: fc.record({ kind: fc.constant("log"), step: fc.string({ maxLength: 10 }), text: fc.string({ unit: "grapheme", maxLength: 20 }) }),
});
const anyMessage = fc.oneof(
  fc.tuple(fc.constantFrom(...kinds), fc.dictionary(fc.constantFrom(...fields), value)).map(([type, rest]) => ({ ...rest, type })),
  fc.tuple(report, fc.constantFrom(...fields), value).map(([whole, field, other]) => ({ ...whole, [field]: other })),
);
const frame = fc.oneof(
  anyMessage.map((message) => JSON.stringify(message)),
  fc.json(),
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "{", "null", "[]"),
);

test("a channel hands over what fits its schema, and ends at the first frame that does not", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(HostToServer, HubToServer, ServerToHost, ServerToHub),
      fc.array(frame, { maxLength: 20 }),
      async (schema, frames) => {
        const { socket, seen, say } = makeSocket();
        const channel = new FrameChannel<unknown, never>({ socket, receive: schema, clock, watch: "answers" });
        const got: unknown[] = [];
        channel.handle((message) => void got.push(message));
        for (const text of frames) say(text);
        await new Promise(setImmediate);
        const firstBad = frames.findIndex((text) => text !== '{"type":"ping"}' && !fits(schema, text));
        expect(channel.isOpen).toBe(firstBad < 0);
        expect(seen.isClosed).toBe(firstBad >= 0);
        if (firstBad >= 0) expect(await channel.closed).toMatch(/^the peer sent /);
        else expect(got).toHaveLength(frames.filter((text) => text !== '{"type":"ping"}').length);
      },
    ),
  );
});

test("reports come out as they went in, in their order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(report, { maxLength: 20 }), fc.integer({ min: 1, max: 5 }), async (reports, batch) => {
      const { socket, say } = makeSocket();
      const channel = new FrameChannel<unknown, never>({ socket, receive: HostToServer, clock, watch: "answers" });
      const got: unknown[] = [];
      channel.handleBatches(batch, async (messages) => void got.push(...messages));
      for (const one of reports) say(JSON.stringify(one));
      await new Promise(setImmediate);
      expect(got).toEqual(reports.filter((one) => HostToServer.safeParse(one).success));
    }),
  );
});

test("a peer that sends faster than is handled is not read any more, and nothing of it is lost", async () => {
  const { socket, seen, say } = makeSocket();
  const channel = new FrameChannel<{ text: string }, never>({
    socket,
    receive: { safeParse: (data) => ({ success: true, data: data as never }) },
    clock,
    watch: "answers",
  });
  const text = "x".repeat(MAX_RECEIVE_QUEUE_CHARS / 10);
  let count = 0;
  for (; !seen.isPaused; count += 1) say(JSON.stringify({ text }));
  expect(count).toBeLessThanOrEqual(11);
  let handled = 0;
  channel.handle(() => void (handled += 1));
  await new Promise(setImmediate);
  expect({ handled, isPaused: seen.isPaused }).toEqual({ handled: count, isPaused: false });
});

const crypto = { sign: () => "c2lnbmVk", verify: () => true, sameKey: () => true };
const random = { bytes: (size: number) => new Uint8Array(size), fraction: () => 0, uuid: () => "00000000-0000-4000-8000-000000000000" };

test("whatever a peer says in place of its hello, it is refused or greeted, and nothing else happens", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("host" as const, "hub" as const),
      fc.array(frame, { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (role, frames, knowsKey) => {
        const { socket, seen, say, leave } = makeSocket();
        const accepted = acceptChannel({
          socket,
          role,
          hello: role === "host" ? HostHello : (HubHello as unknown as typeof HostHello),
          receive: role === "host" ? HostToServer : (HubToServer as never),
          privateKey: "",
          publicKey: "",
          lookUpKey: async () => (knowsKey ? "a key" : undefined),
          admit: async () => {},
          now: () => new Date(0),
          crypto: { ...crypto, verify: () => knowsKey },
          clock,
          random,
        });
        const outcome = accepted.then(
          () => "greeted",
          (error: unknown) => error,
        );
        for (const text of frames) say(text);
        leave();
        const result = await outcome;
        if (result !== "greeted") expect(result).toBeInstanceOf(AppError);
        if (!knowsKey) expect(result).not.toBe("greeted");
        if (!knowsKey) expect(seen.sent.join()).not.toContain('"welcome"');
      },
    ),
  );
});

function fits(schema: typeof HostToServer | typeof ServerToHub | typeof HubToServer | typeof ServerToHost, text: string): boolean {
  try {
    return schema.safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}
