import {
  CHANNEL_VERSION,
  Challenge,
  OLDEST_CHANNEL_VERSION,
  type PeerRole,
  peerTranscript,
  Refused,
  serverTranscript,
  Welcome,
} from "@hardshare/protocol";
import { encodeBase64 } from "./base64.ts";
import { FrameChannel } from "./frame-channel.ts";
import type { MessageSocket } from "./message-socket.ts";
import type { ChannelClock, ChannelCrypto, ChannelLogger, ChannelRandom, MessageSchema } from "./needs.ts";

/** Longest time from a connection to `welcome`. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A connection that stood for so long was a success, after which the next attempt need not wait: one that is lost at once was none. */
export const STEADY_AFTER_MS = 10_000;

export interface ConnectChannelOptions<In, Out> {
  /** WebSocket address of the server's channel, e.g. `ws://127.0.0.1:8484/channel/host`. */
  url: string;
  role: PeerRole;
  /** Id that the server gave when this host or hub registered. */
  id: string;
  /** New for each process; tells a cloned identity from a reconnect. */
  session: string;
  privateKey: string;
  /** The server's pinned identity key: any other server is refused. */
  serverKey: string;
  /** Further fields of `hello`, computed at each connect. */
  hello(): Record<string, unknown>;
  /** Messages that the server may send after `welcome`. */
  receive: MessageSchema<In>;
  onOpen(send: (message: Out) => boolean): void;
  onMessage(message: In): void | Promise<void>;
  onClose(reason: string): void;
  /** The server refused this peer: try again later, or give up. */
  onRefused(code: string, message: string): "retry" | "stop";
  openSocket(url: string, signal: AbortSignal): Promise<MessageSocket>;
  backOff: { nextMs(): number; reset(): void };
  crypto: ChannelCrypto;
  clock: ChannelClock;
  random: ChannelRandom;
  logger: ChannelLogger;
}

/** One outbound channel that is kept up until disposed. */
export interface ChannelClient<Out> extends AsyncDisposable {
  /** @returns false when not connected: state is sent again on connecting, so nothing is queued here */
  send(message: Out): boolean;
  readonly isOpen: boolean;
  /** Settles when the channel has ended for good: disposed, or refused and told to stop. */
  readonly closed: Promise<void>;
}

/** Keeps a channel to the server: connects, proves the identity key, checks the server's, reconnects with back-off. */
export function connectChannel<In, Out>(options: ConnectChannelOptions<In, Out>): ChannelClient<Out> {
  const stop = new AbortController();
  let current: FrameChannel<unknown, unknown> | undefined;
  let isWelcome = false;

  const run = async () => {
    while (!stop.signal.aborted) {
      let reason: string;
      try {
        const socket = await options.openSocket(options.url, stop.signal);
        const channel = new FrameChannel<unknown, unknown>({ socket, receive: anything, clock: options.clock, watch: "asks" });
        current = channel;
        if (stop.signal.aborted) channel.close("closed");
        const verdict = await greet(channel, options);
        if (verdict === "stop") return;
        if (verdict === "welcome") {
          isWelcome = true;
          options.onOpen((message) => channel.send(message));
          channel.handle((message) => deliver(message, options));
        }
        using _steady = options.clock.after(STEADY_AFTER_MS, () => isWelcome && options.backOff.reset());
        reason = await channel.closed;
      } catch (error) {
        reason = error instanceof Error ? error.message : String(error);
      }
      const wasWelcome = isWelcome;
      isWelcome = false;
      current = undefined;
      if (wasWelcome) options.onClose(reason);
      if (stop.signal.aborted) return;
      const delayMs = options.backOff.nextMs();
      options.logger.info("channel lost; reconnecting", { url: options.url, reason, delayMs: Math.round(delayMs) });
      await pause(options.clock, delayMs, stop.signal);
    }
  };
  const closed = run();

  return {
    send: (message) => isWelcome && (current?.send(message) ?? false),
    get isOpen() {
      return isWelcome;
    },
    closed,
    async [Symbol.asyncDispose]() {
      stop.abort();
      current?.close("closed");
      await closed;
    },
  };
}

const anything: MessageSchema<unknown> = { safeParse: (data) => ({ success: true, data }) };

function deliver<In, Out>(data: unknown, options: ConnectChannelOptions<In, Out>): void | Promise<void> {
  const parsed = options.receive.safeParse(data);
  if (!parsed.success) throw new Error(`the server sent a message that does not fit: ${parsed.error.message.slice(0, 500)}`);
  return options.onMessage(parsed.data);
}

/** Says hello and waits for the verdict. On any verdict but `welcome` the channel is closed. */
async function greet<In, Out>(
  channel: FrameChannel<unknown, unknown>,
  options: ConnectChannelOptions<In, Out>,
): Promise<"welcome" | "retry" | "stop"> {
  using _timeout = options.clock.after(HANDSHAKE_TIMEOUT_MS, () => channel.close("no welcome in time"));
  const challenge = Challenge.safeParse(await channel.next());
  if (!challenge.success) {
    channel.close("no challenge");
    throw new Error("the server does not speak this channel");
  }
  const { oldestVersion, newestVersion, nonce: serverNonce } = challenge.data;
  if (newestVersion < OLDEST_CHANNEL_VERSION || oldestVersion > CHANNEL_VERSION) {
    channel.close("version mismatch");
    const older = newestVersion < OLDEST_CHANNEL_VERSION ? "server" : options.role;
    return options.onRefused(
      "version_mismatch",
      `the server speaks channel versions ${oldestVersion}–${newestVersion}, this ${options.role} ${OLDEST_CHANNEL_VERSION}–${CHANNEL_VERSION}: upgrade the ${older}`,
    );
  }
  const nonce = encodeBase64(options.random.bytes(32));
  channel.send({
    ...options.hello(),
    type: "hello",
    version: Math.min(CHANNEL_VERSION, newestVersion),
    id: options.id,
    session: options.session,
    nonce,
    signature: options.crypto.sign(options.privateKey, peerTranscript(options.role, options.id, serverNonce, nonce)),
  });
  const answer = await channel.next();
  const refused = Refused.safeParse(answer);
  if (refused.success) {
    channel.close("refused");
    return options.onRefused(refused.data.code, refused.data.message);
  }
  const welcome = Welcome.safeParse(answer);
  const isTheServer =
    welcome.success &&
    options.crypto.sameKey(welcome.data.serverKey, options.serverKey) &&
    options.crypto.verify(options.serverKey, serverTranscript(options.role, options.id, serverNonce, nonce), welcome.data.signature);
  if (!isTheServer) {
    channel.close("this is not the server");
    return options.onRefused(
      "identity_refused",
      "the server at this address does not hold the identity key that was pinned at registration; if it was set up anew on purpose, register again",
    );
  }
  return "welcome";
}

function pause(clock: ChannelClock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.after(delayMs, finish);
    signal.addEventListener("abort", finish, { once: true });
    function finish() {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", finish);
      resolve();
    }
    if (signal.aborted) finish();
  });
}
